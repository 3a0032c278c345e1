package grpcpool

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
)

// Channels that were born together do not grow old together: each lives for 80
// to 100 % of MaxAge. That so many lives would fill less than a quarter of that
// range by chance has a probability of 10^-17.
func TestAgesDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const conns = 32
		var mu sync.Mutex
		var births []time.Duration
		started := time.Now()
		p, _ := newMemnet(t, &echo{}).pooled(t, Config{
			MinConns: conns,
			MaxAge:   time.Hour,
			Prime: func(context.Context, *grpc.ClientConn) error {
				mu.Lock()
				defer mu.Unlock()
				births = append(births, time.Since(started))
				return nil
			},
		})
		time.Sleep(time.Hour + time.Minute)
		synctest.Wait()
		if got := channels(p); got != conns {
			t.Errorf("%d channels, want %d", got, conns)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(births) != 2*conns {
			t.Fatalf("%d channels were primed, want %d and as many in their places", len(births), conns)
		}
		first, lives := births[:conns], births[conns:]
		if last := slices.Max(first); last != 0 {
			t.Errorf("the last of the first channels was primed after %v", last)
		}
		least, most := slices.Min(lives), slices.Max(lives)
		if least < 48*time.Minute || most > time.Hour+time.Second {
			t.Errorf("replaced after %v to %v, want 48 to 60 minutes", least, most)
		}
		if most-least < 3*time.Minute {
			t.Errorf("all replaced within %v, from %v on", most-least, least)
		}
	})
}
