package prom_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/internal/table"
	"github.com/lastack/lastack/metrics/prom"
)

func times(values ...uint64) metrics.Histogram {
	h := metrics.Histogram{Bounds: []float64{0.5, 1}, Counts: values, Sum: 3.25}
	for _, n := range values {
		h.Count += n
	}
	return h
}

// full is a Snapshot of one host that has done everything there is.
func full() metrics.Snapshot {
	s := metrics.Snapshot{
		Requests: 101, Leases: 102, Reused: 90, Dials: 12, DialErrors: 2, Waits: 7, Retries: 1,
		Born: 10, Unmanaged: 3, Hurried: 4, Leaks: 5, HeldBodies: 6,
		Dialing: 1, Resting: 2, Busy: 3, Leaving: 1,
		Ended:     map[linger.Ending]uint64{linger.PeerFirst: 3, linger.LocalFirst: 1},
		Reasons:   map[string]uint64{metrics.IdleTimeout: 3, metrics.GoAway: 1},
		TimeWaits: 1, Standing: 1,
		WouldHave:  map[string]uint64{metrics.PerRequest: 101, metrics.NetHTTPDefault: 40},
		WouldDial:  map[string]uint64{metrics.PerRequest: 102},
		WouldStand: map[string]uint64{metrics.PerRequest: 50},
		Active:     4, Waiting: 1, Timeouts: 2, DialedBy: map[string]uint64{"cold": 5, "all_busy": 7},
		DNSTime: times(1, 0, 0), TCPTime: times(2, 1, 1), TLSTime: times(0, 3, 0), DialTime: times(1, 2, 1),
		WaitTime: times(7, 0, 0), UseTime: times(100, 1, 1), LifeTime: times(1, 2, 1), PerConn: times(0, 0, 4),
	}
	host := metrics.HostSnapshot{Name: "example.com:443", Snapshot: s, KeepAlive: metrics.KeepAlive{Timeout: 5 * time.Second}}
	s.Hosts = []metrics.HostSnapshot{host}
	s.Kernel = metrics.Reconciliation{Checked: true, Agrees: true, Created: 9, Counts: true, Ours: 1, Others: 8, At: time.Now()}
	return s
}

// gather scrapes collectors in a registry that looks at every metric closely.
func gather(t testing.TB, collectors ...prometheus.Collector) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	for _, c := range collectors {
		if err := r.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	return scrape(t, r)
}

// scrape returns every sample of a registry by its series, without the labels
// that are empty: name{a="1"}. Of histograms it has _count and _sum.
func scrape(t testing.TB, r prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				if l.GetValue() != "" {
					labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
				}
			}
			series := "{" + strings.Join(labels, ",") + "}"
			switch {
			case m.Counter != nil:
				all[f.GetName()+series] = m.Counter.GetValue()
			case m.Gauge != nil:
				all[f.GetName()+series] = m.Gauge.GetValue()
			case m.Histogram != nil:
				all[f.GetName()+"_count"+series] = float64(m.Histogram.GetSampleCount())
				all[f.GetName()+"_sum"+series] = m.Histogram.GetSampleSum()
			}
		}
	}
	return all
}

func TestLint(t *testing.T) {
	problems, err := testutil.CollectAndLint(prom.NewCollector(full))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Every metric of the table is exported, under its name and with its value.
func TestEverything(t *testing.T) {
	got := gather(t, prom.NewCollector(full, prom.Pool("payments")))
	host := `server_address="example.com",server_port="443"`
	for series, want := range map[string]float64{
		`http_client_open_connections{http_connection_state="idle",lastack_pool_name="payments",` + host + `}`:                       2,
		`http_client_connection_duration_seconds_count{lastack_pool_name="payments",` + host + `}`:                                   4,
		`lastack_requests_total{lastack_pool_name="payments",` + host + `}`:                                                          101,
		`lastack_connection_dials_total{lastack_dial_reason="cold",lastack_pool_name="payments",` + host + `}`:                       5,
		`lastack_connection_dial_phase_duration_seconds_count{lastack_dial_phase="tls",lastack_pool_name="payments",` + host + `}`:   3,
		`lastack_connection_closed_total{lastack_close_outcome="peer_first",lastack_pool_name="payments",` + host + `}`:              3,
		`lastack_counterfactual_time_wait_created_total{lastack_model="net_http_default",lastack_pool_name="payments",` + host + `}`: 40,
		`lastack_server_keepalive_timeout_seconds{lastack_pool_name="payments",lastack_source="header",` + host + `}`:                5,
		`lastack_connection_wait_time_seconds_sum{lastack_pool_name="payments",` + host + `}`:                                        3.25,
		`lastack_open_connections{lastack_connection_state="leaving",lastack_pool_name="payments",` + host + `}`:                     1,
		`lastack_counterfactual_time_wait_standing{lastack_model="per_request",lastack_pool_name="payments",` + host + `}`:           50,
		`lastack_connection_left_total{lastack_leave_reason="goaway",lastack_pool_name="payments",` + host + `}`:                     1,
		`lastack_host_time_wait_standing{lastack_pool_name="payments",lastack_socket_owner="other"}`:                                 8,
		`lastack_host_time_wait_created_total{lastack_pool_name="payments"}`:                                                         9,
	} {
		if n, ok := got[series]; !ok || n != want {
			t.Errorf("%s is %v (%v), want %v", series, n, ok, want)
		}
	}
	for _, m := range table.Metrics {
		found := false
		for series := range got {
			name, _, _ := strings.Cut(series, "{")
			found = found || name == m.Prometheus() || m.Kind == table.Histogram && name == m.Prometheus()+"_count"
		}
		if !found && m.PerHost() { // what the kernel says depends on the system
			t.Errorf("%s is not exported", m.Prometheus())
		}
	}
}

// A histogram comes out as Prometheus has it: cumulative.
func TestHistogram(t *testing.T) {
	err := testutil.CollectAndCompare(prom.NewCollector(full), strings.NewReader(`
# HELP lastack_connection_create_time_seconds The time that a dial took until a request could use its connection.
# TYPE lastack_connection_create_time_seconds histogram
lastack_connection_create_time_seconds_bucket{lastack_pool_name="",server_address="example.com",server_port="443",le="0.5"} 1
lastack_connection_create_time_seconds_bucket{lastack_pool_name="",server_address="example.com",server_port="443",le="1"} 3
lastack_connection_create_time_seconds_bucket{lastack_pool_name="",server_address="example.com",server_port="443",le="+Inf"} 4
lastack_connection_create_time_seconds_sum{lastack_pool_name="",server_address="example.com",server_port="443"} 3.25
lastack_connection_create_time_seconds_count{lastack_pool_name="",server_address="example.com",server_port="443"} 4
`), "lastack_connection_create_time_seconds")
	if err != nil {
		t.Error(err)
	}
}

func TestWithoutHTTP(t *testing.T) {
	for series := range gather(t, prom.NewCollector(full, prom.WithoutHTTP())) {
		if !strings.HasPrefix(series, "lastack_") {
			t.Errorf("%s is exported", series)
		}
	}
}

// Pools with names and one without share a registry; two of one name do not.
func TestSeveral(t *testing.T) {
	got := gather(t, prom.NewCollector(full), prom.NewCollector(full, prom.Pool("a")), prom.NewCollector(full, prom.Pool("b"), prom.WithoutHTTP()))
	for _, pool := range []string{"", `lastack_pool_name="a",`, `lastack_pool_name="b",`} {
		series := `lastack_requests_total{` + pool + `server_address="example.com",server_port="443"}`
		if got[series] != 101 {
			t.Errorf("%s is %v", series, got[series])
		}
	}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(prom.NewCollector(full, prom.Pool("a")))
	if err := r.Register(prom.NewCollector(full, prom.Pool("a"))); err == nil {
		t.Error("two pools of one name are in one registry")
	}
}

// A Meter of nothing is no error.
func TestEmpty(t *testing.T) {
	var m metrics.Meter
	gather(t, prom.NewCollector(m.Snapshot))
}

// hosts returns a Snapshot of n hosts, of which host i has had i requests.
func hosts(n int) func() metrics.Snapshot {
	one := full().Hosts[0]
	s := metrics.Snapshot{Hosts: make([]metrics.HostSnapshot, n)}
	for i := range s.Hosts {
		s.Hosts[i] = one
		s.Hosts[i].Name = fmt.Sprintf("host-%d.example.com:443", i)
		s.Hosts[i].Requests = uint64(i)
	}
	return func() metrics.Snapshot { return s }
}

// However many hosts there are, the series have a bound, the busiest hosts are
// told apart, and the sum is that of all.
func TestCardinality(t *testing.T) {
	for max, want := range map[int]int{0: 100, 7: 7, -1: 0, 200: 200} {
		const all = 200
		sum, apart, other := 0.0, 0, false
		for series, n := range gather(t, prom.NewCollector(hosts(all), prom.MaxHosts(max))) {
			if !strings.HasPrefix(series, "lastack_requests_total{") {
				continue
			}
			sum += n
			if strings.Contains(series, `"_other"`) {
				other = true
				continue
			}
			apart++
			if want < all && n < float64(all-want) {
				t.Errorf("limit %d: %s is told apart with %v requests", max, series, n)
			}
		}
		if apart != want || other != (want < all) || sum != all*(all-1)/2 {
			t.Errorf("limit %d: %d hosts apart, others %v, %v requests", max, apart, other, sum)
		}
	}
}

// Scrapes at the same time, while hosts come and requests are made. For -race.
func TestConcurrentScrapes(t *testing.T) {
	var m metrics.Meter
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(prom.NewCollector(m.Snapshot, prom.MaxHosts(5)))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				scrape(t, r)
			}
		})
		wg.Go(func() {
			for i := range 200 {
				h := m.Host(fmt.Sprintf("h%d:443", i%10))
				h.Request()
				c := h.Born(true)
				c.Rest()
				c.Leave(metrics.IdleTimeout)
				c.Ended(linger.PeerFirst, false)
			}
		})
	}
	wg.Wait()
	sum := 0.0
	for series, n := range scrape(t, r) {
		if strings.HasPrefix(series, "lastack_connection_closed_total{") {
			sum += n
		}
	}
	if sum != 800 {
		t.Errorf("%v connections ended, want 800", sum)
	}
}

func TestNoSource(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	prom.NewCollector(nil)
}
