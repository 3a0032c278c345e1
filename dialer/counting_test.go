package dialer

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestFloodIsCountedOnce: however many dials fail at a time, the sockets are
// counted once a second, a tenth of the time at most goes by with that, and
// nobody waits for longer than countFor.
func TestFloodIsCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		took := 50 * time.Millisecond
		c := counter{count: func(question) (perSource, bool) {
			calls.Add(1)
			time.Sleep(took)
			return perSource{}, true
		}}
		ask := func(n int, q question) (answered int32) {
			var got atomic.Int32
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() {
					if _, ok := c.ask(t.Context(), q); ok {
						got.Add(1)
					}
				})
			}
			wg.Wait()
			return got.Load()
		}
		q := question{to: netip.MustParseAddrPort("192.0.2.1:80")}
		other := question{to: netip.MustParseAddrPort("192.0.2.2:80")}
		if got := ask(1000, q); got != 1000 || calls.Load() != 1 {
			t.Errorf("%d of 1000 were answered, with %d counts; want all with one", got, calls.Load())
		}
		if got := ask(1000, other); got != 0 || calls.Load() != 1 {
			t.Errorf("in the pause %d were answered, with %d counts", got, calls.Load()-1)
		}
		if got := ask(1000, q); got != 1000 || calls.Load() != 1 {
			t.Errorf("%d of 1000 were answered again, with %d counts more", got, calls.Load()-1)
		}
		time.Sleep(countShare * took)
		if got := ask(1000, other); got != 1000 || calls.Load() != 2 {
			t.Errorf("after the pause %d were answered, with %d counts", got, calls.Load()-1)
		}
		time.Sleep(countValid)
		if got := ask(1, q); got != 1 || calls.Load() != 3 {
			t.Errorf("what was counted a second ago is told again")
		}

		// One that takes too long, and a context that ends, keep nobody else.
		time.Sleep(countValid)
		took = time.Minute
		var slow sync.WaitGroup
		defer slow.Wait()
		slow.Go(func() { c.ask(t.Context(), q) })
		synctest.Wait()
		began := time.Now()
		if got := ask(10, q); got != 0 || time.Since(began) != countFor {
			t.Errorf("%d were answered after %v", got, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		began = time.Now()
		if _, ok := c.ask(ctx, q); ok || time.Since(began) != time.Millisecond {
			t.Errorf("the context has ended, and it took %v", time.Since(began))
		}
	})
}

func TestAnswersAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := counter{count: func(question) (perSource, bool) { return perSource{}, true }}
		for i := range uint16(3 * maxAnswers) {
			if _, ok := c.ask(t.Context(), question{ports: PortRange{1, i}}); !ok {
				t.Fatal("no answer")
			}
		}
		if n := len(c.answers); n > maxAnswers {
			t.Errorf("%d answers are kept", n)
		}
	})
}
