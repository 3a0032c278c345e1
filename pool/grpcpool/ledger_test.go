package grpcpool

import (
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/metrics"
)

// TestWhyDialed: the ledger says why each connection was dialled, of those that a
// pool makes and of those that grpc-go does.
func TestWhyDialed(t *testing.T) {
	release := make(chan struct{})
	e := &echo{unary: func(ctx context.Context) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	}}
	addr := e.start(t, grpc.MaxConcurrentStreams(1))
	m := new(metrics.Meter)
	p, client := pooled(t, addr, Config{Meter: m, MaxConns: 3, MaxAge: 500 * time.Millisecond, Credentials: insecure.NewCredentials()})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := invoke(t.Context(), client); err != nil {
				t.Error(err)
			}
		})
	}
	by := func(why string) uint64 { return m.Snapshot().DialedBy[why] }
	netlab.Eventually(t, 20*time.Second, "three connections", func() bool { return by(metrics.Cold) == 1 && by(metrics.AllBusy)+by(metrics.Spare) >= 2 })
	netlab.Eventually(t, 20*time.Second, "three calls under way", func() bool { return m.Snapshot().Leases == 3 })
	if s := m.Snapshot(); s.Active != 3 || s.UseTime.Count != 0 {
		t.Errorf("%d calls are active, %d have ended; want 3 and none", s.Active, s.UseTime.Count)
	}
	netlab.Eventually(t, 20*time.Second, "one in the place of an old one", func() bool { return by(metrics.MaxAge) > 0 })
	close(release)
	wg.Wait()
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := m.Snapshot()
	if s.Active != 0 || s.Waiting != 0 || s.UseTime.Count != 3 || s.UseTime.Sum <= 0 || s.DialTime.Count != s.Born ||
		s.TCPTime.Count < s.Born || s.PerConn.Count != s.Born || s.PerConn.Sum != 3 || s.LifeTime.Count != s.Born {
		t.Errorf("%+v", s)
	}
	for _, l := range m.Lives() {
		if l.Dialed == "" {
			t.Errorf("nobody knows why this was dialled: %+v", l)
		}
	}

	d := newDialer()
	d.Meter = new(metrics.Meter)
	checkHealth(t, observed(t, serveHealth(t), d, nil))
	if s := d.Meter.Snapshot(); s.DialedBy[metrics.Asked] != 1 || s.TCPTime.Count != 1 {
		t.Errorf("without a pool: %v", s.DialedBy)
	}
	netlab.Eventually(t, 20*time.Second, "the end of the call", func() bool {
		s := d.Meter.Snapshot()
		return s.UseTime.Count == 1 && s.Active == 0
	})
}
