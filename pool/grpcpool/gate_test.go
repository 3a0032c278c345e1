package grpcpool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A harbour is dialled: it answers or refuses after a while, and counts.
type harbour struct {
	mu      sync.Mutex
	down    bool
	takes   time.Duration
	dials   []time.Time // when they began
	running int
	most    int // dials at a time
}

var refused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

func (h *harbour) dial(ctx context.Context, _ string) (net.Conn, error) {
	h.mu.Lock()
	h.dials = append(h.dials, time.Now())
	h.running++
	h.most = max(h.most, h.running)
	takes := h.takes
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.running--
		h.mu.Unlock()
	}()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		return nil, refused
	}
	return new(net.TCPConn), nil
}

// set makes the harbour answer or refuse from now on.
func (h *harbour) set(down bool, takes time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down, h.takes, h.most = down, takes, 0
}

func (h *harbour) count() (dials, most int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.dials), h.most
}

func TestGateOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(func() { t.Error("there was nothing to recover from") })
		h := &harbour{takes: time.Second}
		started := time.Now()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if c, err := g.dial(t.Context(), "a:1", h.dial); c == nil || err != nil {
					t.Error(c, err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(started); took != time.Second {
			t.Errorf("took %v", took)
		}
		if _, most := h.count(); most != 100 {
			t.Errorf("%d at a time", most)
		}
		if len(g.outages) != 0 {
			t.Error("there is an outage")
		}
	})
}

func TestGateClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newGate(nil), &harbour{down: true, takes: time.Millisecond}
		if _, err := g.dial(t.Context(), "a:1", h.dial); err != refused {
			t.Fatalf("the first error is %v", err)
		}
		for range 10 {
			started := time.Now()
			_, err := g.dial(t.Context(), "a:1", h.dial)
			if time.Since(started) != 0 {
				t.Error("it did not fail at once")
			}
			if !errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, context.Canceled) {
				t.Errorf("the errno is not to be had from %v", err)
			}
			var ne net.Error
			if !errors.As(err, &ne) || ne.Timeout() || ne.(*gateError).Temporary() != refused.Temporary() {
				t.Errorf("%v: timeout or temporary are not those of the last dial", err)
			}
		}
		if n, _ := h.count(); n != 1 {
			t.Errorf("%d dials", n)
		}
		h2 := new(harbour)
		if _, err := g.dial(t.Context(), "b:1", h2.dial); err != nil {
			t.Errorf("another address: %v", err)
		}
	})
}

func TestGateErrorKinds(t *testing.T) {
	timeout := &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	for _, c := range []struct {
		err                error
		timeout, temporary bool
	}{
		{&gateError{last: refused}, false, false},
		{&gateError{last: timeout}, true, true},
		{&gateError{last: errors.New("any")}, false, true}, // as grpc-go takes it
		{&gateError{last: onlyTimeout{}}, true, true},
		{&gateError{last: refused, cause: context.DeadlineExceeded}, true, true},
		{&gateError{last: refused, cause: context.Canceled}, false, true},
	} {
		e := c.err.(net.Error)
		//lint:ignore SA1019 grpc-go asks for it
		if e.Timeout() != c.timeout || e.Temporary() != c.temporary {
			t.Errorf("%v: timeout %v, temporary %v", e, e.Timeout(), e.Temporary()) //lint:ignore SA1019 as above
		}
	}
}

type onlyTimeout struct{}

func (onlyTimeout) Error() string { return "late" }
func (onlyTimeout) Timeout() bool { return true }

// However often an address that is down is asked for, it is dialled ever more
// seldom, up to a bound.
func TestGateBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newGate(nil), &harbour{down: true}
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
			g.dial(t.Context(), "a:1", h.dial)
		}
		for i := 1; i < len(h.dials); i++ {
			d := min(gateFirst<<min(i-1, 16), gateMax)
			if gap := h.dials[i].Sub(h.dials[i-1]); gap < d/2 || gap > d+time.Millisecond {
				t.Errorf("dial %d came %v after the one before it, want between %v and %v", i, gap, d/2, d)
			}
		}
		if n := len(h.dials); n < 60 || n > 160 {
			t.Errorf("%d dials in a minute", n)
		}
		h.set(false, 0)
		time.Sleep(gateMax)
		if _, err := g.dial(t.Context(), "a:1", h.dial); err != nil {
			t.Fatal(err)
		}
		// It begins anew.
		h.set(true, 0)
		g.dial(t.Context(), "a:1", h.dial)
		time.Sleep(gateFirst)
		n, _ := h.count()
		g.dial(t.Context(), "a:1", h.dial)
		if now, _ := h.count(); now != n+1 {
			t.Error("it is held back for longer than after a first failure")
		}
	})
}

// closedGate returns a gate whose address a:1 has failed, and the time is over for
// which dials fail at once.
func closedGate(t *testing.T, h *harbour, recovered func()) *gate {
	t.Helper()
	g := newGate(recovered)
	h.set(true, 0)
	if _, err := g.dial(t.Context(), "a:1", h.dial); err == nil {
		t.Fatal("it succeeded")
	}
	time.Sleep(gateFirst)
	h.dials = nil
	return g
}

// dialMany dials a:1 n times at once, and returns the errors.
func dialMany(ctx context.Context, g *gate, h *harbour, n int) (wait func() []error) {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { _, errs[i] = g.dial(ctx, "a:1", h.dial) })
	}
	return func() []error { wg.Wait(); return errs }
}

func TestGateTrialSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g *gate
		var recoveries atomic.Int32
		h := new(harbour)
		g = closedGate(t, h, func() {
			recoveries.Add(1)
			if _, err := g.dial(t.Context(), "a:1", h.dial); err != nil { // is under no lock
				t.Error(err)
			}
		})
		h.set(false, 500*time.Millisecond)
		wait := dialMany(t.Context(), g, h, 50)
		time.Sleep(499 * time.Millisecond)
		if n, _ := h.count(); n != 1 {
			t.Errorf("%d dials before it is known whether one succeeds", n)
		}
		for _, err := range wait() {
			if err != nil {
				t.Error(err)
			}
		}
		if n := recoveries.Load(); n != 1 {
			t.Errorf("recovered %d times", n)
		}
		if n, most := h.count(); n != 51 || most != 50 {
			t.Errorf("%d dials, %d at a time", n, most)
		}
	})
}

func TestGateTrialFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(harbour)
		g := closedGate(t, h, func() { t.Error("recovered") })
		h.set(true, 500*time.Millisecond)
		for _, err := range dialMany(t.Context(), g, h, 50)() {
			if !errors.Is(err, syscall.ECONNREFUSED) {
				t.Error(err)
			}
		}
		if n, _ := h.count(); n != 1 {
			t.Errorf("%d dials", n)
		}
	})
}

// A trial that its caller gives up is no failure, and the next takes its place.
func TestGateTrialGivenUp(t *testing.T) {
	for _, c := range []struct {
		name string
		ends func(context.Context) (context.Context, context.CancelFunc)
	}{
		{"canceled", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(100*time.Millisecond, cancel)
			return ctx, cancel
		}},
		{"deadline", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 100*time.Millisecond)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := new(harbour)
				g := closedGate(t, h, nil)
				h.set(false, 500*time.Millisecond)
				ctx, cancel := c.ends(t.Context())
				defer cancel()
				started := time.Now()
				first := dialMany(ctx, g, h, 1)
				synctest.Wait()
				others := dialMany(t.Context(), g, h, 5)
				if err := first()[0]; !errors.Is(err, ctx.Err()) {
					t.Errorf("the first: %v", err)
				}
				for _, err := range others() {
					if err != nil {
						t.Errorf("another: %v", err)
					}
				}
				if took := time.Since(started); took != 1100*time.Millisecond {
					t.Errorf("took %v, want 100 ms, 500 ms for the next, and 500 ms for the others", took)
				}
			})
		})
	}
}

// Where no dial has failed yet, one that is given up closes nothing.
func TestGateGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newGate(nil), &harbour{takes: time.Second}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := g.dial(ctx, "a:1", h.dial); err == nil {
			t.Error("it succeeded")
		}
		// The net package may see the deadline before the context does.
		late := func(context.Context, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
		}
		if _, err := g.dial(due{t.Context()}, "a:1", late); err == nil {
			t.Error("it succeeded")
		}
		if len(g.outages) > 0 {
			t.Errorf("%v", g.outages["a:1"])
		}
	})
}

// due is a context whose deadline has come, and that does not know yet.
type due struct{ context.Context }

func (due) Deadline() (time.Time, bool) { return time.Now(), true }

// Dials that were in progress together and fail are one failure.
func TestGateFailTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newGate(nil), &harbour{down: true, takes: time.Second}
		dialMany(t.Context(), g, h, 50)()
		time.Sleep(gateFirst)
		dialMany(t.Context(), g, h, 1)()
		if n, _ := h.count(); n != 51 {
			t.Errorf("%d dials, want another after the time for one failure", n)
		}
	})
}

func TestGateWaiterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(harbour)
		g := closedGate(t, h, nil)
		h.set(false, 500*time.Millisecond)
		first := dialMany(t.Context(), g, h, 1)
		synctest.Wait()
		cause := errors.New("the user has gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Millisecond, func() { cancel(cause) })
		started := time.Now()
		err := dialMany(ctx, g, h, 1)()[0]
		if time.Since(started) != time.Millisecond || !errors.Is(err, cause) || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("after %v: %v", time.Since(started), err)
		}
		if err := first()[0]; err != nil {
			t.Error(err)
		}
	})
}

// A trial that hangs does not keep the others for long.
func TestGateTrialHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var recoveries atomic.Int32
		h := new(harbour)
		g := closedGate(t, h, func() { recoveries.Add(1) })
		h.set(false, time.Hour)
		first := dialMany(t.Context(), g, h, 1)
		synctest.Wait()
		h.set(false, time.Millisecond)
		started := time.Now()
		for _, err := range dialMany(t.Context(), g, h, 5)() {
			if err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(started); took != gateHung+2*time.Millisecond {
			t.Errorf("took %v", took)
		}
		first()
		if n := recoveries.Load(); n != 1 {
			t.Errorf("recovered %d times", n)
		}
	})
}

func TestGateForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newGate(nil), &harbour{down: true}
		for i := range 10 * maxOutages {
			g.dial(t.Context(), fmt.Sprint("a:", i), h.dial)
		}
		if n := len(g.outages); n != maxOutages {
			t.Errorf("%d addresses are remembered, want %d", n, maxOutages)
		}
		time.Sleep(outageKept + time.Second)
		g.dial(t.Context(), "b:1", h.dial)
		if n := len(g.outages); n != 1 {
			t.Errorf("%d addresses are remembered, want 1", n)
		}
	})
}

// Whatever happens at the same time, everyone comes back, and the gate opens.
func TestGateStress(t *testing.T) {
	var recoveries atomic.Int32
	g := newGate(func() { recoveries.Add(1) })
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		switch rand.N(4) {
		case 0:
			return new(net.TCPConn), nil
		case 1:
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, refused
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 300 {
				ctx, cancel := context.WithTimeout(t.Context(), rand.N(2*time.Millisecond))
				c, err := g.dial(ctx, fmt.Sprint("a:", rand.N(3)), dial)
				if (c == nil) == (err == nil) {
					t.Error(c, err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	for address, o := range g.outages {
		if o.trial != nil {
			t.Errorf("%s: a trial is still in progress", address)
		}
	}
}
