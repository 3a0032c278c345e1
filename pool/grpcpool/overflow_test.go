package grpcpool

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
)

// Where all channels are full a call does not wait behind few streams, or none,
// while a channel with many will soon be done with one.
func TestOverflowGoesWhereStreamsAre(t *testing.T) {
	for _, few := range []int64{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			e := &echo{unary: func(ctx context.Context) error { return sleep(ctx, time.Second) }}
			n := newMemnet(t, e, grpc.MaxConcurrentStreams(10))
			p, client := n.pooled(t, Config{MinConns: 2, MaxConns: 2})
			synctest.Wait()
			set := *p.set.Load()
			one := func() (l *line) {
				set[0].mu.Lock()
				defer set[0].mu.Unlock()
				for l = range set[0].lines {
				}
				return l
			}()
			one.settings(uint32(few)) // as one of two servers behind one name
			synctest.Wait()
			var wg sync.WaitGroup
			for range 10 + few + 5 {
				wg.Go(func() {
					if err := invoke(t.Context(), client); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
			}
			if a, b := set[0].calls.Load(), set[1].calls.Load(); a > few || b < 10 {
				t.Errorf("%d calls where there are %d streams, %d where there are 10", a, few, b)
			}
			started := time.Now()
			wg.Wait()
			if took := time.Since(started); took > 2*time.Second {
				t.Errorf("it took %v to make 15 calls of a second over 10 streams", took)
			}
		})
	}
}
