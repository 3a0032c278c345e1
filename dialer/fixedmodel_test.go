package dialer

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lastack/lastack/internal/sockdiag"
	"github.com/lastack/lastack/linger"
)

// TestRingAgainstModel: many dials at once, to a kernel that keeps what it must
// of each connection. None disturbs anything, and in the end all ports are back.
func TestRingAgainstModel(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			k := &modelKernel{t: t, socks: map[netip.AddrPort]*modelSock{}}
			r, w := new(rings), fixedWay
			w.ports.Hi = w.ports.Lo + 15
			c := choice{look: k.look, bind: k.bind}
			var wg sync.WaitGroup
			for i := range uint64(20) {
				wg.Go(func() {
					rnd := rand.New(rand.NewPCG(seed, i))
					for range 60 {
						k.live(c, r, w, rnd)
					}
				})
			}
			wg.Wait()
			wantAll(t, r, w)
			if k.made < 100 || k.replaced < 20 {
				t.Errorf("%d connections made, %d TIME_WAITs replaced", k.made, k.replaced)
			}
			t.Logf("%d connections, %d TIME_WAITs replaced", k.made, k.replaced)
		})
	}
}

// A modelKernel knows the sockets of one destination, by their local address.
type modelKernel struct {
	t     *testing.T
	mu    sync.Mutex
	socks map[netip.AddrPort]*modelSock

	made, replaced int
}

type modelSock struct {
	state sockdiag.State
	since time.Time // when it got into it, or when it has gone
	bare  bool
	gone  bool
	stray bool // it was not closed before its port was given back
}

// now returns what has become of the socket.
func (s *modelSock) now() (sockdiag.Socket, bool) {
	left := timeWaitFor - time.Since(s.since)
	if s.gone || s.state == sockdiag.TimeWait && left <= 0 {
		return sockdiag.Socket{}, false
	}
	return sockdiag.Socket{State: s.state, Expires: left}, true
}

func (k *modelKernel) look(local, _ netip.AddrPort) (sockdiag.Socket, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.socks[local]; s != nil {
		sock, ok := s.now()
		return sock, ok, nil
	}
	return sockdiag.Socket{}, false, nil
}

// bind binds and connects. It is where all that must not happen would.
func (k *modelKernel) bind(local netip.AddrPort) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.socks[local]; s != nil {
		sock, ok := s.now()
		switch {
		case ok && sock.State != sockdiag.TimeWait:
			k.t.Errorf("%v: a %v is disturbed", local, sock.State)
		case ok && s.bare:
			k.t.Errorf("%v: a TIME_WAIT without timestamps is replaced", local)
		case time.Since(s.since) < quarantine && !s.stray:
			k.t.Errorf("%v: used again after %v", local, time.Since(s.since))
		}
		if ok {
			k.replaced++
		}
	}
	if local.Port()%7 == 0 { // somebody listens there
		return os.NewSyscallError("bind", syscall.EADDRINUSE)
	}
	k.made++
	k.socks[local] = &modelSock{state: sockdiag.Established}
	return nil
}

// become changes the socket.
func (k *modelKernel) become(local netip.AddrPort, f func(*modelSock)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.socks[local]
	s.since = time.Now()
	f(s)
}

// live is the life of one connection.
func (k *modelKernel) live(c choice, r *rings, w way, rnd *rand.Rand) {
	moment := func() { time.Sleep(time.Duration(rnd.Int64N(int64(300 * time.Millisecond)))) }
	moment()
	ctx, cancel := context.WithTimeout(k.t.Context(), time.Duration(rnd.Int64N(int64(3*time.Second))))
	defer cancel()
	l, err := c.lease(ctx, r, w, latest(ctx, time.Now()))
	if err != nil {
		return
	}
	local := l.local()
	switch rnd.IntN(8) {
	case 0: // the dial fails
		k.become(local, func(s *modelSock) { s.gone = true })
		l.used()
		return
	case 1: // the dial is over before the socket is closed
		k.become(local, func(s *modelSock) { s.stray = true })
		l.used()
		moment()
		k.become(local, func(s *modelSock) { s.gone = true })
		return
	}
	a := &tenancy{l, nil}
	bare := rnd.IntN(12) == 0
	l.bare = bare
	k.become(local, func(s *modelSock) { s.bare = bare })
	moment()
	a.Closing()
	moment()
	defer a.Ended(linger.Lost, false) // again
	switch rnd.IntN(4) {
	case 0:
		k.become(local, func(s *modelSock) { s.gone = true })
		a.Ended(linger.FinReset, false)
	case 1: // the peer goes on for a while, when we have closed
		k.become(local, func(s *modelSock) { s.state = sockdiag.FinWait2 })
		a.Ended(linger.LocalFirst, false)
		time.Sleep(time.Duration(rnd.Int64N(int64(5 * time.Second))))
		k.become(local, func(s *modelSock) { s.state = sockdiag.TimeWait })
	default:
		k.become(local, func(s *modelSock) { s.state = sockdiag.TimeWait })
		a.Ended(linger.LocalFirst, false)
	}
}
