package grpcpool

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// A storm is what channels do to a server that is down for a while.
type storm struct {
	dials int           // while it is down
	most  int           // of them in one second, the first left out
	back  time.Duration // from when it is up until all channels are ready
}

// brew takes 40 channels of grpc-go through an outage of half a minute. Each has
// calls that wait for it. If shared, they dial through a gate.
func brew(t *testing.T, shared bool) (s storm) {
	const channels, outage = 40, 30 * time.Second
	l := bufconn.Listen(1 << 16)
	srv := serve(t, l)

	var mu sync.Mutex
	started := time.Now()
	inSecond := map[int]int{}
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if after := time.Since(started); after < outage {
			s.dials++
			inSecond[int(after/time.Second)]++
			return nil, refused
		}
		return l.DialContext(ctx)
	}
	ccs := make([]*grpc.ClientConn, channels)
	g := newGate(func() {
		for _, cc := range ccs {
			cc.ResetConnectBackoff()
		}
	})
	dialer := dial
	if shared {
		dialer = func(ctx context.Context, address string) (net.Conn, error) { return g.dial(ctx, address, dial) }
	}
	for i := range ccs {
		cc, err := grpc.NewClient("passthrough:///server:1", grpc.WithContextDialer(dialer),
			grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithIdleTimeout(0))
		if err != nil {
			t.Fatal(err)
		}
		ccs[i] = cc
	}
	var wg sync.WaitGroup
	for _, cc := range ccs {
		wg.Go(func() {
			for state := cc.GetState(); state != connectivity.Ready; state = cc.GetState() {
				cc.Connect()
				cc.WaitForStateChange(t.Context(), state)
			}
		})
	}
	wg.Wait()
	s.back = time.Since(started) - outage
	for second, n := range inSecond {
		if second > 0 {
			s.most = max(s.most, n)
		}
	}
	for _, cc := range ccs {
		cc.Close()
	}
	srv.Stop()
	return s
}

// However many channels lose their server, it is dialled as by a few, and has
// them all back once one has found out.
func TestGateStorm(t *testing.T) {
	var stock, ours storm
	synctest.Test(t, func(t *testing.T) { stock = brew(t, false) })
	synctest.Test(t, func(t *testing.T) { ours = brew(t, true) })
	t.Logf("without a gate: %+v; with one: %+v", stock, ours)
	if stock.most < 20 {
		t.Errorf("without a gate there are %d dials in a second, which is no storm", stock.most)
	}
	if ours.most > 6 { // 25, 50, 100, 200, 400 ms apart at least
		t.Errorf("%d dials in a second", ours.most)
	}
	if 3*ours.dials > stock.dials {
		t.Errorf("%d dials in all, without a gate %d", ours.dials, stock.dials)
	}
	if ours.back > stock.back {
		t.Errorf("all are back after %v, without a gate after %v", ours.back, stock.back)
	}
}
