package grpcpool

import (
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/lastack/lastack/linger"
)

// Of a pool's connections too each call is an event's, and each ending.
func TestPoolEvents(t *testing.T) {
	const conns, calls = 3, 200
	addr := serveHealth(t, grpc.MaxConcurrentStreams(10))
	var log eventLog
	p, err := NewClient(addr, Config{Credentials: insecure.NewCredentials(), MinConns: conns, MaxConns: conns, Events: log.add})
	if err != nil {
		t.Fatal(err)
	}
	client := healthpb.NewHealthClient(p)
	var wg sync.WaitGroup
	for range calls {
		wg.Go(func() {
			if _, err := client.Check(t.Context(), new(healthpb.HealthCheckRequest)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := p.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	shutDown(t, p.config.Dialer)
	carried := uint64(0)
	for _, e := range log.all() {
		carried += e.Calls
		if e.Ending == linger.Unknown || e.Remote.String() != addr {
			t.Errorf("%+v", e)
		}
	}
	if n := len(log.all()); carried != calls || uint64(n) != p.Stats().Born {
		t.Errorf("%d connections carried %d calls, want %d and %d", n, carried, p.Stats().Born, calls)
	}
	if s := p.Stats(); s.Balance() != nil || s.Requests != calls || s.Busy+s.Resting+s.Leaving != 0 {
		t.Errorf("%v", s)
	}
}
