package grpcpool

import (
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/lastack/lastack/internal/netlab"
)

// burst makes n calls at once, and returns how long they took together.
func burst(t testing.TB, client testgrpc.TestServiceClient, n int) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	started := time.Now()
	for range n {
		wg.Go(func() {
			if _, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return time.Since(started)
}

func TestScale(t *testing.T) {
	e := &echo{unary: func(ctx context.Context) error { return sleep(ctx, 100*time.Millisecond) }}
	address := e.start(t, grpc.MaxConcurrentStreams(100))
	stock, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer stock.Close()
	p, client := pooled(t, address, Config{Cooldown: time.Second})
	sc := testgrpc.NewTestServiceClient(stock)
	cold0, cold := burst(t, sc, 500), burst(t, client, 500)
	t.Logf("cold: stock %v, pool %v", cold0, cold)
	warm0, warm := burst(t, sc, 500), burst(t, client, 500)
	t.Logf("warm: stock %v, pool %v (%.2f), %d channels, most at a time %d", warm0, warm, warm.Seconds()/warm0.Seconds(), channels(p), e.most.Load())
	quiet(t, p)
	netlab.Eventually(t, 10*time.Second, "it is at its minimum", func() bool { return channels(p) == 1 })
}
