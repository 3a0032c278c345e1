package prom_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/prom"
	"github.com/lastack/lastack/pool"
)

// TestTimeWait: a pool that may not do better leaves TIME_WAITs, and one that
// may leaves none. What a scrape says is what the kernel has, in each case.
func TestTimeWait(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		const conns = 20
		for i, test := range []struct {
			policy linger.Policy
			want   int
		}{
			{linger.Policy{Wait: -1, Fallback: linger.Plain}, conns},
			{linger.Policy{}, 0},
		} {
			var wg, together sync.WaitGroup
			together.Add(conns)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				together.Done()
				together.Wait() // so that there are so many connections
			}))
			// Each has a port of its own: the TIME_WAITs of one are not the other's.
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(9000+i)))
			if err != nil {
				t.Fatal(err)
			}
			server.Listener.Close()
			server.Listener = l
			server.Start()
			meter := new(metrics.Meter)
			tr := &pool.Transport{Meter: meter, Dialer: &dialer.Dialer{Linger: &linger.Closer{Policy: test.policy}}}
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
			if _, err := meter.Reconcile(t.Context()); err != nil {
				t.Error(err)
			}
			kernel, _ := lab.TimeWaits(t, addr)
			server.Close()

			if kernel != test.want {
				t.Errorf("%+v: %d TIME_WAIT, want %d: the test shows nothing", test.policy, kernel, test.want)
			}
			compare(t, r, map[string]float64{
				"lastack_time_wait_created_total{" + labels(server):                                            float64(kernel),
				`lastack_counterfactual_time_wait_created_total{lastack_model="per_request",` + labels(server): conns,
				"lastack_time_wait_standing{" + labels(server):                                                 float64(kernel),
				"lastack_host_time_wait_reconciled{}":                                                          1,
				`lastack_host_time_wait_standing{lastack_socket_owner="pool"}`:                                 float64(kernel),
				"lastack_host_ephemeral_port_limit{}":                                                          1000,
			})
		}
	}, netlab.PortRange(20000, 20999))
}
