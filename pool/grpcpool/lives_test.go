package grpcpool

import (
	"sync"
	"testing"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// The recorder follows the connections that grpc-go makes, and the calls on them.
func TestLives(t *testing.T) {
	addr := serveHealth(t)
	d := newDialer()
	d.Meter = new(metrics.Meter)
	cc := observed(t, addr, d, nil)
	const calls = 5
	for range calls {
		checkHealth(t, cc)
	}
	l := d.Meter.Lives()[0]
	if l.Host != addr || l.Remote.String() != addr || !l.Local.IsValid() || l.Requests != calls || len(l.Uses) == 0 || !l.Left.IsZero() {
		t.Errorf("%+v", l)
	}
	cc.Close()
	shutDown(t, d)
	if l = d.Meter.Lives()[0]; l.Gone.IsZero() || l.Ending == linger.Unknown || l.Requests != calls {
		t.Errorf("after its end: %+v", l)
	}
}

// The calls of a pool's channel are its connection's, those too that have waited
// for it, whether or not each is followed.
func TestLivesOfPool(t *testing.T) {
	for name, events := range map[string]func(Event){"plain": nil, "observed": func(Event) {}} {
		t.Run(name, func(t *testing.T) {
			addr := new(echo).start(t)
			p, client := pooled(t, addr, Config{Meter: new(metrics.Meter), Events: events, MaxConns: 1})
			const calls = 20
			var wg sync.WaitGroup
			for range calls {
				wg.Go(func() {
					if err := invoke(t.Context(), client); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			var requests uint64
			for _, l := range p.config.Meter.Lives() {
				requests += l.Requests
			}
			if requests != calls {
				t.Errorf("lives have %d of %d calls", requests, calls)
			}
		})
	}
}
