package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestFairQueue: 200 callers share 4 connections for a million leases of a
// millisecond each, and give up waiting at random. Every wait ends, none is
// forgotten, and none takes more than three times its turn. In a bubble the
// scheduler has no part in that.
func TestFairQueue(t *testing.T) {
	const callers, conns, hold = 200, 4, time.Millisecond
	leases := int64(1_000_000)
	if testing.Short() || underRace {
		leases /= 10
	}
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		tr := &Transport{Base: base, MaxConnsPerHost: conns}
		if err := tr.Warm(t.Context(), pipeURL, conns); err != nil {
			t.Fatal(err)
		}
		g := tr.allGroups()[0]
		var (
			done, busy, most, longest, gaveUp atomic.Int64
			wg                                sync.WaitGroup
		)
		served := make([]int64, callers)
		for i := range callers {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			wg.Go(func() {
				for done.Load() < leases {
					ctx, cancel := context.WithCancelCause(t.Context())
					if random.IntN(10) == 0 {
						// Before, while, or at the very time that its turn comes.
						after := time.Duration(random.IntN(callers/conns+1)) * hold
						time.AfterFunc(after, func() { cancel(errGaveUp) })
					}
					began := time.Now()
					l, err := g.lease(ctx, nil)
					raise(&longest, int64(time.Since(began)))
					if err != nil {
						cancel(nil)
						if !errors.Is(err, errGaveUp) {
							t.Error(err)
							return
						}
						gaveUp.Add(1)
						continue
					}
					raise(&most, busy.Add(1))
					done.Add(1)
					served[i]++
					time.Sleep(hold)
					busy.Add(-1)
					g.mu.Lock()
					l.c.returnLocked(1)
					cancel(nil)
				}
			})
		}
		wg.Wait() // a caller that is forgotten would be a deadlock
		synctest.Wait()
		if most.Load() > conns {
			t.Errorf("%d leases at a time, with %d connections", most.Load(), conns)
		}
		turn := callers / conns * hold // whoever comes last has all the others before it
		if w := time.Duration(longest.Load()); w > 3*turn {
			t.Errorf("one waited for %v, want %v at most", w, 3*turn)
		}
		if lo, hi := slices.Min(served), slices.Max(served); hi > 3*lo {
			t.Errorf("one caller was served %d times, another %d", lo, hi)
		}
		t.Logf("%d leases; the longest wait was %v, a turn is %v; %d waits were given up; each caller was served %d to %d times",
			done.Load(), time.Duration(longest.Load()), turn, gaveUp.Load(), slices.Min(served), slices.Max(served))
		if s := tr.Stats(); s.Resting != conns || s.Dials != conns {
			t.Errorf("%d connections rest, %d dials; want %d of each", s.Resting, s.Dials, conns)
		}
		shutdown(t, tr)
	})
}

var errGaveUp = errors.New("gave up")

// raise sets a to v if v is more.
func raise(a *atomic.Int64, v int64) {
	for old := a.Load(); v > old && !a.CompareAndSwap(old, v); old = a.Load() {
	}
}
