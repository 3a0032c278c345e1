package grpcpool

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
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

// What the pool is for: 500 calls of 100 ms at a server that allows 100 a
// connection. Time is synctest's, so the times are those of a machine that is
// infinitely fast; BenchmarkScale has those of this one.
func TestScale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{unary: func(ctx context.Context) error { return sleep(ctx, 100*time.Millisecond) }}
		n := newMemnet(t, e, grpc.MaxConcurrentStreams(100))
		cc, err := grpc.NewClient("passthrough:///server", grpc.WithContextDialer(n.dial),
			grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer cc.Close()
		stock := testgrpc.NewTestServiceClient(cc)
		p, client := n.pooled(t, Config{})
		t.Logf("cold: stock %v, pool %v", burst(t, stock, 500), burst(t, client, 500))
		s, ours := burst(t, stock, 500), burst(t, client, 500)
		t.Logf("warm: stock %v, pool %v", s, ours)
		if ratio := ours.Seconds() / s.Seconds(); ratio > 0.45 {
			t.Errorf("it takes %.2f of stock's time, want 0.45 or less", ratio)
		}
		quiet(t, p)
		time.Sleep(2 * defaultCooldown)
		synctest.Wait()
		if channels(p) != 1 {
			t.Errorf("%d channels after the cooldown", channels(p))
		}
	})
}

// BenchmarkScale is TestScale on the loopback, in pairs of bursts: the median of
// the ratios.
func BenchmarkScale(b *testing.B) {
	e := &echo{unary: func(ctx context.Context) error { return sleep(ctx, 100*time.Millisecond) }}
	address := e.start(b, grpc.MaxConcurrentStreams(100))
	cc, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	defer cc.Close()
	_, client := pooled(b, address, Config{})
	stock := testgrpc.NewTestServiceClient(cc)
	coldStock, cold := burst(b, stock, 500), burst(b, client, 500)
	var ratios []float64
	for b.Loop() {
		for range 11 {
			s, ours := burst(b, stock, 500), burst(b, client, 500)
			ratios = append(ratios, ours.Seconds()/s.Seconds())
		}
	}
	slices.Sort(ratios)
	b.ReportMetric(cold.Seconds()/coldStock.Seconds(), "cold×stock")
	b.ReportMetric(ratios[len(ratios)/2], "warm×stock")
	b.ReportMetric(0, "ns/op")
}
