package oteltest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/internal/table"
	"github.com/lastack/lastack/metrics/otel"
)

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
	}
	host := metrics.HostSnapshot{Name: "example.com:443", Snapshot: s, KeepAlive: metrics.KeepAlive{Timeout: 5 * time.Second}}
	s.Hosts = []metrics.HostSnapshot{host}
	s.Kernel = metrics.Reconciliation{Checked: true, Agrees: true, Created: 9, Counts: true, Ours: 1, Others: 8, At: time.Now()}
	return s
}

// A reading is a Reader of the SDK and an Exporter whose provider it reads.
type reading struct {
	*sdk.ManualReader
	provider *sdk.MeterProvider
	*otel.Exporter
}

func read(t *testing.T, source func() metrics.Snapshot, opts ...otel.Option) reading {
	t.Helper()
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	e, err := otel.New(provider, source, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return reading{reader, provider, e}
}

// metrics collects once and returns what there is, by name.
func (r reading) metrics(t *testing.T) map[string]metricdata.Metrics {
	t.Helper()
	var data metricdata.ResourceMetrics
	if err := r.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]metricdata.Metrics)
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			all[m.Name] = m
		}
	}
	return all
}

// values returns the points of a collection: name{attribute=value,…}. Of a
// histogram it has the count, and the sum under the name and ".sum".
func (r reading) values(t *testing.T) map[string]float64 {
	t.Helper()
	all := make(map[string]float64)
	put := func(name string, set attribute.Set, v float64) {
		var parts []string
		for _, kv := range set.ToSlice() {
			parts = append(parts, fmt.Sprintf("%s=%s", kv.Key, kv.Value.Emit()))
		}
		all[name+"{"+strings.Join(parts, ",")+"}"] = v
	}
	for name, m := range r.metrics(t) {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				put(name, p.Attributes, float64(p.Value))
			}
		case metricdata.Gauge[float64]:
			for _, p := range data.DataPoints {
				put(name, p.Attributes, p.Value)
			}
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				put(name, p.Attributes, float64(p.Count))
				put(name+".sum", p.Attributes, p.Sum)
			}
		default:
			t.Errorf("%s is a %T", name, data)
		}
	}
	return all
}

func check(t *testing.T, got, want map[string]float64) {
	t.Helper()
	for series, n := range want {
		if v, ok := got[series]; !ok || v != n {
			t.Errorf("%s is %v (%v), want %v", series, v, ok, n)
		}
	}
	if t.Failed() {
		t.Log(strings.Join(slices.Sorted(maps.Keys(got)), "\n"))
	}
}

// observe tells an Exporter of one of each.
func observe(e metrics.Observer, host string) {
	e.Dialed(host, metrics.Dial{Reason: "cold", DNS: time.Second, TCP: 2 * time.Second, TLS: 3 * time.Second, Total: 6 * time.Second})
	e.Waited(host, 7*time.Second, nil)
	e.Used(host, 8*time.Second)
	born := time.Now()
	e.Ended(metrics.Life{Host: host, Born: born, Gone: born.Add(9 * time.Second), Requests: 10})
}

// Each row of the table is an instrument of its kind, with its unit and its
// meaning.
func TestInstruments(t *testing.T) {
	r := read(t, full)
	observe(r, "example.com:443")
	got := r.metrics(t)
	for _, row := range table.Metrics {
		m, ok := got[row.Name]
		if !ok {
			if row.PerHost() { // what the kernel says depends on the system
				t.Errorf("%s is not there", row.Name)
			}
			continue
		}
		if m.Unit != row.Unit || m.Description != row.Help {
			t.Errorf("%s has unit %q and means %q", row.Name, m.Unit, m.Description)
		}
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			if data.IsMonotonic != (row.Kind == table.Counter) || row.Kind == table.Histogram || row.Kind == table.Gauge {
				t.Errorf("%s is a sum, monotonic %v", row.Name, data.IsMonotonic)
			}
		case metricdata.Gauge[float64]:
			if row.Kind != table.Gauge {
				t.Errorf("%s is a gauge", row.Name)
			}
		case metricdata.Histogram[float64]:
			if row.Kind != table.Histogram || !slices.Equal(data.DataPoints[0].Bounds, row.Bounds) {
				t.Errorf("%s is a histogram with bounds %v", row.Name, data.DataPoints[0].Bounds)
			}
		}
		delete(got, row.Name)
	}
	if len(got) > 0 {
		t.Errorf("there is more: %v", slices.Collect(maps.Keys(got)))
	}
}

func TestValues(t *testing.T) {
	r := read(t, full, otel.Pool("payments"))
	observe(r, "example.com:443")
	const host = "lastack.pool.name=payments,server.address=example.com,server.port=443"
	check(t, r.values(t), map[string]float64{
		"lastack.host.time_wait.reconciled{lastack.pool.name=payments}":                                                                        1,
		"http.client.open_connections{http.connection.state=idle," + host + "}":                                                                2,
		"http.client.open_connections{http.connection.state=active," + host + "}":                                                              3,
		"http.client.active_requests{" + host + "}":                                                                                            4,
		"http.client.connection.duration{" + host + "}":                                                                                        1,
		"http.client.connection.duration.sum{" + host + "}":                                                                                    9,
		"lastack.requests{" + host + "}":                                                                                                       101,
		"lastack.connection.acquires{lastack.acquire.source=new," + host + "}":                                                                 12,
		"lastack.connection.closed{lastack.close.outcome=local_first," + host + "}":                                                            1,
		"lastack.connection.create_time.sum{" + host + "}":                                                                                     6,
		"lastack.connection.dial_phase.duration.sum{lastack.dial.phase=dns," + host + "}":                                                      1,
		"lastack.connection.dial_phase.duration.sum{lastack.dial.phase=connect," + host + "}":                                                  2,
		"lastack.connection.dial_phase.duration.sum{lastack.dial.phase=tls," + host + "}":                                                      3,
		"lastack.connection.wait_time.sum{" + host + "}":                                                                                       7,
		"lastack.connection.use_time.sum{" + host + "}":                                                                                        8,
		"lastack.connection.requests.sum{" + host + "}":                                                                                        10,
		"lastack.counterfactual.time_wait.created{lastack.model=net_http_default," + host + "}":                                                40,
		"lastack.server.keepalive_timeout{lastack.pool.name=payments,lastack.source=header," + host[len("lastack.pool.name=payments,"):] + "}": 5,
	})
}

// A dial that failed has parts and no whole; a part that there was not is none.
func TestFailedDial(t *testing.T) {
	r := read(t, full)
	r.Dialed("h:1", metrics.Dial{TCP: time.Second, Total: time.Second, Err: fmt.Errorf("refused")})
	got := r.values(t)
	const host = "server.address=h,server.port=1"
	check(t, got, map[string]float64{"lastack.connection.dial_phase.duration{lastack.dial.phase=connect," + host + "}": 1})
	for _, series := range []string{"lastack.connection.create_time{" + host + "}", "lastack.connection.dial_phase.duration{lastack.dial.phase=dns," + host + "}"} {
		if n, ok := got[series]; ok {
			t.Errorf("%s is %v", series, n)
		}
	}
}

func TestWithoutHTTP(t *testing.T) {
	r := read(t, full, otel.WithoutHTTP())
	observe(r, "example.com:443")
	for name := range r.metrics(t) {
		if !strings.HasPrefix(name, "lastack.") {
			t.Errorf("%s is there", name)
		}
	}
}

// What is recorded and what is read belong to the same hosts: the first to come,
// and of those that come together the busiest.
func TestCardinality(t *testing.T) {
	source := func() metrics.Snapshot {
		var s metrics.Snapshot
		for i := range 50 {
			h := full().Hosts[0]
			h.Name, h.Requests = fmt.Sprintf("h%d:1", i), uint64(i)
			s.Hosts = append(s.Hosts, h)
		}
		return s
	}
	r := read(t, source, otel.MaxHosts(3))
	r.Used("h7:1", time.Second) // before anything is read
	r.values(t)
	r.Used("h8:1", time.Second)
	r.Used("h49:1", time.Second)
	got := r.values(t)
	hosts := make(map[string]bool)
	for series := range got {
		if _, host, ok := strings.Cut(series, "server.address="); ok {
			host, _, _ = strings.Cut(strings.TrimSuffix(host, "}"), ",")
			hosts[host] = true
		}
	}
	if want := map[string]bool{"h7": true, "h48": true, "h49": true, "_other": true}; !maps.Equal(hosts, want) {
		t.Errorf("hosts %v, want %v", hosts, want)
	}
	check(t, got, map[string]float64{
		"lastack.requests{server.address=h49,server.port=1}":            49,
		"lastack.requests{server.address=_other}":                       50*49/2 - 49 - 48 - 7,
		"lastack.connection.use_time{server.address=h49,server.port=1}": 1,
		"lastack.connection.use_time{server.address=_other}":            1,
	})
}

// Two pools of one provider; the first ends.
func TestShutdown(t *testing.T) {
	r := read(t, full, otel.Pool("a"))
	other, err := otel.New(r.provider, full)
	if err != nil {
		t.Fatal(err)
	}
	const a, b = "lastack.requests{lastack.pool.name=a,server.address=example.com,server.port=443}", "lastack.requests{server.address=example.com,server.port=443}"
	check(t, r.values(t), map[string]float64{a: 101, b: 101})
	if err := r.Exporter.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := r.values(t)
	if _, ok := got[a]; ok {
		t.Error("the pool is read after Shutdown")
	}
	check(t, got, map[string]float64{b: 101})
	if err := other.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := other.Shutdown(t.Context()); err != nil {
		t.Errorf("the second Shutdown: %v", err)
	}
}

// Collections at the same time, while things are recorded. For -race.
func TestConcurrently(t *testing.T) {
	r := read(t, full, otel.MaxHosts(5))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				r.values(t)
			}
		})
		wg.Go(func() {
			for i := range 100 {
				observe(r, fmt.Sprintf("h%d:1", i%10))
			}
		})
	}
	wg.Wait()
	sum := 0.0
	for series, n := range r.values(t) {
		if strings.HasPrefix(series, "lastack.connection.use_time{") {
			sum += n
		}
	}
	if sum != 400 {
		t.Errorf("%v uses recorded, want 400", sum)
	}
}
