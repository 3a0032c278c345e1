package grpcpool

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// A ward counts the calls of one channel of a pool, and has them fail while it
// is told to.
type ward struct {
	sick  atomic.Pointer[grpc.ClientConn]
	code  atomic.Uint32 // codes.OK: they don't fail
	calls atomic.Int64
}

func (w *ward) intercept(_ context.Context, _ string, _, _ any, cc *grpc.ClientConn, _ grpc.UnaryInvoker, _ ...grpc.CallOption) error {
	if cc != w.sick.Load() {
		return nil
	}
	w.calls.Add(1)
	return status.Error(codes.Code(w.code.Load()), "as told")
}

// share makes n calls, one after the other, and returns how many of them the
// channel got.
func (w *ward) share(t *testing.T, client testgrpc.TestServiceClient, n int) int64 {
	t.Helper()
	before := w.calls.Load()
	for range n {
		invoke(t.Context(), client)
	}
	return w.calls.Load() - before
}

// A channel whose call failed for a reason that may be its server's is avoided
// for a while. What is random here is binomial, and the bounds are further off than
// seven standard deviations.
func TestErrorIsAPenalty(t *testing.T) {
	const (
		conns = 4
		n     = 400 // calls
		fair  = n / conns
	)
	for code, penal := range map[codes.Code]bool{
		codes.Unavailable:       true,
		codes.ResourceExhausted: true,
		codes.Internal:          true,
		codes.NotFound:          false,
		codes.Canceled:          false,
	} {
		t.Run(code.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var w ward
				p, client := newMemnet(t, &echo{}).pooled(t, Config{MinConns: conns}, grpc.WithUnaryInterceptor(w.intercept))
				synctest.Wait()
				set := *p.set.Load()
				if len(set) != conns {
					t.Fatalf("%d channels", len(set))
				}
				w.sick.Store(set[0].cc)
				if got := w.share(t, client, n); got < fair/3 {
					t.Fatalf("a channel that is well got %d of %d calls", got, n)
				}

				w.code.Store(uint32(code))
				for i := 0; w.share(t, client, 1) == 0; i++ {
					if i > n {
						t.Fatal("the channel got no call that could fail")
					}
				}
				got := w.share(t, client, n)
				if !penal {
					if got < fair/3 {
						t.Errorf("after %v it got %d of %d calls, as if that were its fault", code, got, n)
					}
					return
				}
				// The others carry nothing at the time, so they are better by any penalty.
				if got != 0 {
					t.Errorf("after %v it got %d of the next %d calls", code, got, n)
				}

				// It is a penalty, no ban: who carries much more is worse.
				for _, c := range set[1:] {
					for range penalty + 1 {
						if !c.reserve() {
							t.Fatal("full")
						}
					}
				}
				if got := w.share(t, client, n); got < fair {
					t.Errorf("it got %d of %d calls, though the others are loaded", got, n)
				}
				for _, c := range set[1:] {
					for range penalty + 1 {
						c.release()
					}
				}

				w.code.Store(uint32(codes.OK))
				time.Sleep(penaltyFor - time.Millisecond)
				if got := w.share(t, client, n); got != 0 {
					t.Errorf("just before the time is over it got %d calls", got)
				}
				time.Sleep(time.Millisecond)
				if got := w.share(t, client, n); got < fair/3 {
					t.Errorf("after %v it got %d of %d calls", penaltyFor, got, n)
				}
			})
		})
	}
}
