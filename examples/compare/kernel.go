package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/lastack/lastack/internal/sockdiag"
)

// A kernel counts the sockets of connections to some servers, as the operating
// system has them: our own classification of endings has no part in it.
type kernel struct {
	diag *sockdiag.Conn
}

// openKernel fails with errors.ErrUnsupported on systems other than Linux.
func openKernel() (*kernel, error) {
	diag, err := sockdiag.Open()
	if err != nil {
		return nil, err
	}
	return &kernel{diag}, nil
}

func (k *kernel) close() { k.diag.Close() }

// A pair is the addresses of one socket.
type pair struct{ local, remote netip.AddrPort }

// A view is the sockets of one moment.
type view struct {
	here, there map[pair]sockdiag.State // this side's and the server's, if that is on this machine
}

// look returns the sockets of the servers but for those of an earlier view,
// which belong to somebody else.
func (k *kernel) look(servers []netip.AddrPort, but view) (view, error) {
	is := make(map[netip.AddrPort]bool)
	for _, a := range servers {
		is[a] = true
	}
	v := view{make(map[pair]sockdiag.State), make(map[pair]sockdiag.State)}
	note := func(to, but map[pair]sockdiag.State, s sockdiag.Socket) {
		p := pair{s.Local, s.Remote}
		if _, old := but[p]; !old {
			to[p] = s.State
		}
	}
	err := k.diag.Each(sockdiag.AllStates&^sockdiag.Listen.Mask(), func(s sockdiag.Socket) bool {
		if is[s.Remote] {
			note(v.here, but.here, s)
		}
		if is[s.Local] {
			note(v.there, but.there, s)
		}
		return true
	})
	return v, err
}

// Connections take a moment to end after the client has: settle waits, no
// longer than the bound, until all that is left of them are TIME_WAITs.
func (k *kernel) settle(ctx context.Context, servers []netip.AddrPort, but view, bound time.Duration) (view, error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	for {
		v, err := k.look(servers, but)
		if err != nil || v.moving() == 0 || ctx.Err() != nil {
			return v, err
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// timeWaits returns the TIME_WAITs of this side and of the server's.
func (v view) timeWaits() (here, there int) {
	return inState(v.here, sockdiag.TimeWait), inState(v.there, sockdiag.TimeWait)
}

// moving returns how many sockets have not come to their end.
func (v view) moving() int {
	here, there := v.timeWaits()
	return len(v.here) - here + len(v.there) - there
}

func inState(sockets map[pair]sockdiag.State, state sockdiag.State) int {
	n := 0
	for _, s := range sockets {
		if s == state {
			n++
		}
	}
	return n
}
