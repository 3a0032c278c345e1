package prom_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics/prom"
	"github.com/lastack/lastack/pool"
)

// TestTimeWait: a pool that may not do better leaves TIME_WAITs, and one that
// may leaves none. What a scrape says is what the kernel has, in each case.
func TestTimeWait(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		const conns = 20
		for name, policy := range map[string]linger.Policy{
			"plain":   {Wait: -1, Fallback: linger.Plain},
			"default": {},
		} {
			var wg sync.WaitGroup
			var together sync.WaitGroup
			together.Add(conns)
			server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				together.Done()
				together.Wait() // so that there are so many connections
			}))
			tr := &pool.Transport{Dialer: &dialer.Dialer{Linger: &linger.Closer{Policy: policy}}}
			r := prometheus.NewPedanticRegistry()
			r.MustRegister(prom.NewCollector(tr.Stats))
			for range conns {
				wg.Go(func() { get(t, tr, server.URL) })
			}
			wg.Wait()
			if err := tr.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			addr := netip.MustParseAddrPort(server.Listener.Addr().String())
			lab.Settle(t, addr, 10*time.Second)
			kernel, _ := lab.TimeWaits(t, addr)
			server.Close()

			if want := map[string]int{"plain": conns}[name]; kernel != want {
				t.Errorf("%s: %d TIME_WAIT, want %d: the test shows nothing", name, kernel, want)
			}
			compare(t, r, map[string]float64{
				"lastack_time_wait_created_total{" + labels(server):                                            float64(kernel),
				`lastack_counterfactual_time_wait_created_total{lastack_model="per_request",` + labels(server): conns,
				"lastack_host_ephemeral_port_limit{}":                                                          1000,
			})
		}
	}, netlab.PortRange(20000, 20999))
}
