package lab

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"time"

	"github.com/lastack/lastack/internal/sockdiag"
)

// A Kernel counts the sockets of connections to some servers, as the operating
// system has them: our own classification of endings has no part in it.
type Kernel struct {
	diag *sockdiag.Conn
}

// OpenKernel fails with [errors.ErrUnsupported] on systems other than Linux.
func OpenKernel() (*Kernel, error) {
	diag, err := sockdiag.Open()
	if err != nil {
		return nil, err
	}
	return &Kernel{diag}, nil
}

// NotAvailable says why there are no counts, by the error of OpenKernel.
func NotAvailable(err error) string {
	if errors.Is(err, errors.ErrUnsupported) {
		return "the kernel's counts are not available on " + runtime.GOOS
	}
	return "the kernel's counts are not available: " + err.Error()
}

// Close releases what OpenKernel has opened.
func (k *Kernel) Close() { k.diag.Close() }

// A pair is the addresses of one socket.
type pair struct{ local, remote netip.AddrPort }

// A View is the sockets of one moment.
type View struct {
	here, there map[pair]sockdiag.State // this side's and the server's, if that is on this machine
}

// Look returns the sockets of the servers but for those of an earlier View,
// which belong to somebody else.
func (k *Kernel) Look(servers []netip.AddrPort, but View) (View, error) {
	is := make(map[netip.AddrPort]bool)
	for _, a := range servers {
		is[a] = true
	}
	v := View{make(map[pair]sockdiag.State), make(map[pair]sockdiag.State)}
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

// Settle is Look when all that is left of the connections are TIME_WAITs, for
// which it waits no longer than the bound: they take a moment to end after their
// client has.
func (k *Kernel) Settle(ctx context.Context, servers []netip.AddrPort, but View, bound time.Duration) (View, error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	for {
		v, err := k.Look(servers, but)
		if err != nil || v.Moving() == 0 || ctx.Err() != nil {
			return v, err
		}
		Pause(ctx, 20*time.Millisecond)
	}
}

// TimeWaits returns the TIME_WAITs of this side and of the server's.
func (v View) TimeWaits() (here, there int) {
	return inState(v.here, sockdiag.TimeWait), inState(v.there, sockdiag.TimeWait)
}

// Moving returns how many sockets have not come to their end.
func (v View) Moving() int {
	here, there := v.TimeWaits()
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

// Pause waits until d has passed or ctx ends.
func Pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
