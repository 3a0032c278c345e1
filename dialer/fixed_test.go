package dialer

import (
	"context"
	"errors"
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

var fixedWay = way{use{four1, to4}, PortRange{20000, 20003}}

// nothing is a kernel that has no sockets.
var nothing = choice{
	look: func(_, _ netip.AddrPort) (sockdiag.Socket, bool, error) { return sockdiag.Socket{}, false, nil },
	bind: func(netip.AddrPort) error { return nil },
}

// finds is a kernel that has one socket at each port.
func finds(s sockdiag.Socket) choice {
	c := nothing
	c.look = func(_, _ netip.AddrPort) (sockdiag.Socket, bool, error) { return s, true, nil }
	return c
}

// mustLease takes a port that is ready.
func mustLease(t *testing.T, c choice, r *rings, w way) *lease {
	t.Helper()
	l, err := c.lease(t.Context(), r, w, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wantNoPort(t *testing.T, c choice, r *rings, w way, latest time.Time) {
	t.Helper()
	before := time.Now()
	l, err := c.lease(t.Context(), r, w, latest)
	if _, ok := errors.AsType[*noPortError](err); !ok {
		t.Fatalf("got %v, %v; want no port", l, err)
	}
	if waited := time.Since(before); waited > maxPortWait {
		t.Errorf("waited for %v to hear that", waited)
	}
}

// wantAll checks that all ports of the way have come back.
func wantAll(t *testing.T, r *rings, w way) {
	t.Helper()
	g := r.by[w]
	seen := map[uint16]bool{}
	for _, s := range g.back {
		if seen[s.port] || !w.ports.Contains(s.port) || s.port == w.to.Port() {
			t.Errorf("port %d has come back twice, or was never given", s.port)
		}
		seen[s.port] = true
	}
	if g.out != 0 || g.ending != 0 || g.fresh-int(w.ports.Lo) != len(seen) {
		t.Errorf("%d are out; of %d only %d have come back", g.out, g.fresh-int(w.ports.Lo), len(seen))
	}
}

func TestPortsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(rings)
		var leases []*lease
		for i := range 4 {
			l := mustLease(t, nothing, r, fixedWay)
			if l.port != uint16(20000+i) {
				t.Errorf("got port %d as number %d", l.port, i)
			}
			leases = append(leases, l)
		}
		wantNoPort(t, nothing, r, fixedWay, time.Now().Add(time.Hour)) // none rests: there is nothing to wait for
		other := fixedWay
		other.source = four2
		mustLease(t, nothing, r, other).used() // each source has its own

		for _, i := range []int{2, 0, 3, 1} {
			leases[i].used()
			time.Sleep(100 * time.Millisecond)
		}
		leases[0].used() // a second time
		wantNoPort(t, nothing, r, fixedWay, time.Now().Add(quarantine-401*time.Millisecond))
		for i, want := range []uint16{20002, 20000, 20003, 20001} {
			before := time.Now()
			l, err := nothing.lease(t.Context(), r, fixedWay, before.Add(maxPortWait))
			if err != nil || l.port != want {
				t.Fatalf("got %v, %v, want %d", l, err, want)
			}
			wait := 100 * time.Millisecond
			if i == 0 {
				wait = quarantine - 400*time.Millisecond
			}
			if waited := time.Since(before); waited != wait {
				t.Errorf("%d: waited for %v, want %v", want, waited, wait)
			}
			defer func() { l.used(); l.unused() }()
		}
	})
}

// TestWaitForPort: a dial that is over gives the port back as it was.
func TestWaitForPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := new(rings), fixedWay
		w.ports.Hi = w.ports.Lo
		mustLease(t, nothing, r, w).used()
		ready := time.Now().Add(quarantine)

		ctx, cancel := context.WithTimeout(t.Context(), quarantine/2)
		defer cancel()
		if at := latest(ctx, time.Now()); !at.Equal(time.Now().Add(quarantine / 2)) {
			t.Errorf("waits until %v", at)
		}
		if _, err := nothing.lease(ctx, r, w, latest(ctx, time.Now())); err == nil || ctx.Err() != nil {
			t.Errorf("a wait that is in vain: %v, %v", err, ctx.Err())
		}
		if _, err := nothing.lease(ctx, r, w, ready); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the wait is over: %v", err)
		}
		wantAll(t, r, w)
		var wg sync.WaitGroup // who comes first waits for it, the others hear at once
		for range 3 {
			wg.Go(func() {
				l, err := nothing.lease(t.Context(), r, w, latest(t.Context(), time.Now()))
				switch {
				case err == nil && !time.Now().Equal(ready):
					t.Errorf("got it at %v, want %v", time.Now(), ready)
				case err == nil:
					l.used()
				case time.Now().Equal(ready):
					t.Error("waited in vain")
				}
			})
		}
		wg.Wait()
		wantAll(t, r, w)
	})
}

// TestWaitForEnding: a connection that has been closed is about to give its port
// back, so a dial waits for that too, but not in vain.
func TestWaitForEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := new(rings), fixedWay
		w.ports.Hi = w.ports.Lo
		for i, lasts := range []time.Duration{0, 300 * time.Millisecond, quarantine - 1, quarantine + 1} {
			l := mustLease(t, nothing, r, w)
			wantNoPort(t, nothing, r, w, latest(t.Context(), time.Now()))
			a := &tenancy{l, nil}
			a.Closing()
			closed := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), quarantine)
			if _, err := nothing.lease(ctx, r, w, latest(ctx, closed)); err == nil || time.Since(closed) > 0 {
				t.Errorf("%d: waited for %v, longer than it can serve for, and got %v", i, time.Since(closed), err)
			}
			var wg sync.WaitGroup
			got := 0
			for range 3 {
				wg.Go(func() {
					next, err := nothing.lease(t.Context(), r, w, latest(t.Context(), time.Now()))
					if err != nil {
						if waited := time.Since(closed); waited > quarantine {
							t.Errorf("%d: waited for %v", i, waited)
						}
						return
					}
					if at := time.Since(closed); at != lasts+quarantine {
						t.Errorf("%d: got it after %v", i, at)
					}
					got++
					next.unused()
				})
			}
			time.Sleep(lasts)
			a.Ended(linger.PeerFirst, false)
			wg.Wait()
			cancel()
			if want := lasts < quarantine; got > 0 != want {
				t.Errorf("%d: got it: %v, want %v", i, got > 0, want)
			}
			time.Sleep(quarantine)
			wantAll(t, r, w)
			if r.by[w].ending != 0 {
				t.Errorf("%d: %d are ending", i, r.by[w].ending)
			}
		}
	})
}

// TestOnlyTimeWaitIsReplaced: and that a second old, of a connection that is not
// known to have had no timestamps.
func TestOnlyTimeWaitIsReplaced(t *testing.T) {
	for _, tt := range []struct {
		state   sockdiag.State
		expires time.Duration
		bare    bool
		rests   time.Duration
	}{
		{sockdiag.TimeWait, time.Minute, false, time.Second},
		{sockdiag.TimeWait, time.Minute - 300*time.Millisecond, false, 700 * time.Millisecond},
		{sockdiag.TimeWait, 59 * time.Second, false, 0},
		{sockdiag.TimeWait, 2 * time.Second, false, 0},
		{sockdiag.TimeWait, 0, false, 0},
		{sockdiag.TimeWait, 59 * time.Second, true, 59 * time.Second},
		{sockdiag.TimeWait, 0, true, time.Millisecond},
		{sockdiag.FinWait2, 2 * time.Second, false, time.Second},
		{sockdiag.FinWait2, 0, true, time.Second},
		{sockdiag.FinWait1, 0, false, time.Second},
		{sockdiag.Established, 0, false, time.Second},
		{sockdiag.SynSent, 0, false, time.Second},
		{sockdiag.Closing, 0, false, time.Second},
		{sockdiag.LastAck, 0, false, time.Second},
		{sockdiag.CloseWait, 0, false, time.Second},
	} {
		if got := (slot{bare: tt.bare}).after(sockdiag.Socket{State: tt.state, Expires: tt.expires}); got != tt.rests {
			t.Errorf("%v for another %v, bare %v: rests for %v, want %v", tt.state, tt.expires, tt.bare, got, tt.rests)
		}
	}
}

// TestTimeWaitWithoutTimestamps: the port rests until it is over.
func TestTimeWaitWithoutTimestamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := new(rings), fixedWay
		w.ports.Hi = w.ports.Lo
		l := mustLease(t, nothing, r, w)
		l.bare = true
		l.used()
		until := time.Now().Add(timeWaitFor)
		c := nothing
		c.look = func(_, _ netip.AddrPort) (sockdiag.Socket, bool, error) {
			left := time.Until(until)
			return sockdiag.Socket{State: sockdiag.TimeWait, Expires: left}, left > 0, nil
		}
		wantNoPort(t, c, r, w, latest(t.Context(), time.Now()))
		for {
			l, err := c.lease(t.Context(), r, w, latest(t.Context(), time.Now()))
			if err != nil {
				time.Sleep(quarantine / 3)
				continue
			}
			if time.Now().Before(until) {
				t.Errorf("used again %v early", time.Until(until))
			}
			l.used()
			return
		}
	})
}

// TestNextPort: one that somebody else has, or has something on, is left alone,
// and tried again later. What is wrong with all of them ends the search.
func TestNextPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bound := []uint16{}
		busy := nothing
		busy.bind = func(local netip.AddrPort) error {
			bound = append(bound, local.Port())
			if local.Port() < 20003 {
				return os.NewSyscallError("bind", syscall.EADDRINUSE)
			}
			return nil
		}
		r := new(rings)
		l := mustLease(t, busy, r, fixedWay)
		if l.port != 20003 || len(bound) != 4 {
			t.Errorf("got port %d, tried %v", l.port, bound)
		}
		wantNoPort(t, busy, r, fixedWay, time.Now())
		_, err := busy.lease(t.Context(), r, fixedWay, time.Now().Add(quarantine))
		if e, ok := errors.AsType[*noPortError](err); !ok || !errors.Is(e, syscall.EADDRINUSE) {
			t.Errorf("got %v", err)
		}
		l.used()
		wantAll(t, r, fixedWay)

		wide := way{use{four1, to4}, PortRange{1000, 30000}}
		wantNoPort(t, finds(sockdiag.Socket{State: sockdiag.Established}), r, wide, time.Now())
		if n := len(r.by[wide].back); n != maxPortLooks {
			t.Errorf("looked at %d ports", n)
		}

		failure := errors.New("failure")
		for _, c := range []choice{
			{look: func(_, _ netip.AddrPort) (sockdiag.Socket, bool, error) { return sockdiag.Socket{}, false, failure }},
			{look: nothing.look, bind: func(netip.AddrPort) error { return failure }},
		} {
			time.Sleep(quarantine)
			if _, err := c.lease(t.Context(), r, fixedWay, time.Now()); !errors.Is(err, failure) {
				t.Errorf("got %v", err)
			}
			wantAll(t, r, fixedWay)
			mustLease(t, nothing, r, fixedWay).unused() // it has not been used
		}
	})
}

// TestNoPortOfTheDestination: from it a socket would be connected to itself.
func TestNoPortOfTheDestination(t *testing.T) {
	for _, ports := range []PortRange{{20000, 20003}, {20002, 20003}, {20001, 20002}, {20002, 20002}, {1, 65535}} {
		r := new(rings)
		w := way{use{to4.Addr(), netip.AddrPortFrom(to4.Addr(), 20002)}, ports}
		n := 0
		for l, _ := r.take(w, time.Now(), time.Now()); l != nil; l, _ = r.take(w, time.Now(), time.Now()) {
			if l.port == 20002 || l.port == 0 {
				t.Errorf("%v: got port %d", ports, l.port)
			}
			n++
		}
		if n != ports.Len()-1 {
			t.Errorf("%v: got %d ports", ports, n)
		}
	}
}

// TestRingsAreForgotten: but not while one of their ports is in use, or the
// kernel may have something of it.
func TestRingsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(rings)
		held := mustLease(t, nothing, r, fixedWay)
		for i := range 1000 {
			w := fixedWay
			w.to = netip.AddrPortFrom(w.to.Addr(), uint16(1000+i))
			mustLease(t, nothing, r, w).used()
		}
		other := fixedWay
		other.source = four2
		time.Sleep(ringKept - time.Second)
		mustLease(t, nothing, r, other).used()
		if len(r.by) != 1002 {
			t.Errorf("%d are left before time", len(r.by))
		}
		time.Sleep(ringKept)
		mustLease(t, nothing, r, other).used()
		if len(r.by) != 2 || r.by[fixedWay] == nil {
			t.Errorf("%d are left, want 2", len(r.by))
		}
		held.used()
		time.Sleep(2 * ringKept)
		mustLease(t, nothing, r, other).used()
		if len(r.by) != 1 {
			t.Errorf("%d are left, want 1", len(r.by))
		}
	})
}

// TestTenancy: it tells on, and gives the port back once.
func TestTenancy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(rings)
		for _, told := range []linger.Account{nil, new(heard)} {
			l := mustLease(t, nothing, r, fixedWay)
			a := &tenancy{l, told}
			a.Closing()
			a.TimeWait()
			a.Ended(linger.LocalFirst, true)
			l.used()
			if h, ok := told.(*heard); ok && *h != (heard{true, linger.LocalFirst, true}) {
				t.Errorf("told %+v", h)
			}
			wantAll(t, r, fixedWay)
		}
	})
}

type heard struct {
	closing  bool
	ending   linger.Ending
	timeWait bool
}

func (h *heard) Closing()                      { h.closing = true }
func (h *heard) Ended(e linger.Ending, _ bool) { h.ending = e }
func (h *heard) TimeWait()                     { h.timeWait = true }
