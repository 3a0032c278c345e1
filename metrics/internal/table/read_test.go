package table

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// numbers returns what a metric says of a group, by the attribute's value.
func numbers(t *testing.T, name string, hosts ...*metrics.HostSnapshot) map[string]float64 {
	t.Helper()
	m := Lookup(name)
	if m == nil {
		t.Fatalf("%s is not in the table", name)
	}
	got := make(map[string]float64)
	m.Numbers(&Group{Hosts: hosts}, func(attribute string, n float64) {
		if _, twice := got[attribute]; twice {
			t.Errorf("%s says twice what %q is", name, attribute)
		}
		got[attribute] = n
	})
	return got
}

var full = &metrics.HostSnapshot{
	Name: "example.com:443",
	Snapshot: metrics.Snapshot{
		Requests: 101, Leases: 102, Reused: 90, Dials: 12, DialErrors: 2, Waits: 7, Retries: 1,
		Born: 10, Unmanaged: 3, Hurried: 4, Leaks: 5, HeldBodies: 6,
		Dialing: 1, Resting: 2, Busy: 3, Leaving: 1,
		Ended:     map[linger.Ending]uint64{linger.PeerFirst: 3, linger.LocalFirst: 1},
		Reasons:   map[string]uint64{metrics.IdleTimeout: 3, metrics.Closed: 1},
		TimeWaits: 1,
		WouldHave: map[string]uint64{metrics.PerRequest: 101}, WouldDial: map[string]uint64{metrics.PerRequest: 102},
		Standing: 1, WouldStand: map[string]uint64{metrics.PerRequest: 50},
		Active: 4, Waiting: 1, Timeouts: 2,
		DialedBy: map[string]uint64{"cold": 5, "all_busy": 7},
	},
	KeepAlive: metrics.KeepAlive{Timeout: 5 * time.Second, Learned: true},
}

// Each field comes out where it belongs; two hosts are summed.
func TestNumbers(t *testing.T) {
	for name, want := range map[string]map[string]float64{
		"http.client.open_connections":              {"active": 3, "idle": 2},
		"http.client.active_requests":               {"": 4},
		"lastack.requests":                          {"": 101},
		"lastack.request.retries":                   {"": 1},
		"lastack.connection.acquires":               {"reused": 90, "new": 12},
		"lastack.connection.dials":                  {"cold": 5, "all_busy": 7},
		"lastack.connection.dial_errors":            {"": 2},
		"lastack.connection.active_dials":           {"": 1},
		"lastack.connection.waits":                  {"": 7},
		"lastack.connection.pending_requests":       {"": 1},
		"lastack.connection.timeouts":               {"": 2},
		"lastack.connection.created":                {"": 10},
		"lastack.connection.unmanaged":              {"": 3},
		"lastack.open_connections":                  {"active": 3, "idle": 2, "leaving": 1},
		"lastack.connection.left":                   {"idle_timeout": 3},
		"lastack.connection.closed":                 {"peer_first": 3, "local_first": 1},
		"lastack.connection.hurried":                {"": 4},
		"lastack.time_wait.created":                 {"": 1},
		"lastack.time_wait.standing":                {"": 1},
		"lastack.counterfactual.time_wait.created":  {"per_request": 101},
		"lastack.counterfactual.time_wait.standing": {"per_request": 50},
		"lastack.counterfactual.dials":              {"per_request": 102},
		"lastack.leaks":                             {"abandoned": 5, "late": 6},
		"lastack.server.keepalive_timeout":          {"observed": 5},
	} {
		if got := numbers(t, name, full); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		for attribute := range want {
			want[attribute] *= 2
		}
		if Lookup(name).Kind == Gauge {
			clear(want) // two hosts have no common one
		}
		if got := numbers(t, name, full, full); !maps.Equal(got, want) {
			t.Errorf("%s of two hosts: %v, want %v", name, got, want)
		}
	}
}

// Every row that is read per host is in TestNumbers, or a histogram.
func TestAllRead(t *testing.T) {
	for _, m := range Metrics {
		if m.host != nil && len(numbers(t, m.Name, full)) == 0 {
			t.Errorf("%s says nothing of a host that has done everything", m.Name)
		}
	}
}

func TestHistograms(t *testing.T) {
	h := func(counts ...uint64) metrics.Histogram {
		h := metrics.Histogram{Bounds: []float64{1, 2}, Counts: counts, Sum: 1.5}
		for _, n := range counts {
			h.Count += n
		}
		return h
	}
	a := &metrics.HostSnapshot{Snapshot: metrics.Snapshot{DNSTime: h(1, 0, 2), TLSTime: h(0, 1, 0)}}
	b := &metrics.HostSnapshot{Snapshot: metrics.Snapshot{DNSTime: h(1, 1, 1)}}
	for _, test := range []struct {
		hosts []*metrics.HostSnapshot
		want  map[string][]uint64
	}{
		{[]*metrics.HostSnapshot{a}, map[string][]uint64{DNS: {1, 0, 2}, TLS: {0, 1, 0}}},
		{[]*metrics.HostSnapshot{a, b}, map[string][]uint64{DNS: {2, 1, 3}, TLS: {0, 1, 0}}},
	} {
		got := make(map[string][]uint64)
		Lookup(DialPhase).Histograms(&Group{Hosts: test.hosts}, func(attribute string, h *metrics.Histogram) {
			if h.Counts == nil {
				return
			}
			got[attribute] = h.Counts
			var sum uint64
			for _, n := range h.Counts {
				sum += n
			}
			if sum != h.Count {
				t.Errorf("%s: counts %v, in all %d", attribute, h.Counts, h.Count)
			}
		})
		if !maps.EqualFunc(got, test.want, slices.Equal) {
			t.Errorf("%d hosts: %v, want %v", len(test.hosts), got, test.want)
		}
	}
	if a.DNSTime.Counts[0] != 1 {
		t.Error("the sum was made in a host's own histogram")
	}
}

// The system's ports do not depend on what the pool does.
func TestPorts(t *testing.T) {
	m := Lookup("lastack.host.ephemeral_port.limit")
	m.Whole(&metrics.Snapshot{}, func(_ string, n float64) {
		if n < 1 || n > 65535 {
			t.Errorf("%v ports", n)
		}
	})
	if m.PerHost() || !Lookup("lastack.requests").PerHost() {
		t.Error("PerHost is wrong")
	}
}

// What the kernel was not asked for is not there, rather than zero; nor is what it
// said long ago.
func TestKernel(t *testing.T) {
	const created, standing, reconciled = "lastack.host.time_wait.created", "lastack.host.time_wait.standing", "lastack.host.time_wait.reconciled"
	for _, test := range []struct {
		kernel metrics.Reconciliation
		want   map[string]map[string]float64
	}{
		{metrics.Reconciliation{}, nil},
		{metrics.Reconciliation{Checked: true, Counts: true, Created: 7, Ours: 2, Others: 3, At: time.Now().Add(-staleAfter)}, nil},
		{metrics.Reconciliation{Checked: true, Counts: true, Agrees: true, Created: 7, Ours: 2, Others: 3, At: time.Now()}, map[string]map[string]float64{
			created: {"": 7}, standing: {"pool": 2, "other": 3}, reconciled: {"": 1},
		}},
		{metrics.Reconciliation{Checked: true, Created: 7, Ours: 2, At: time.Now()}, map[string]map[string]float64{
			standing: {"pool": 2, "other": 0}, reconciled: {"": 0}, // an old kernel counts too late
		}},
	} {
		for _, name := range []string{created, standing, reconciled} {
			got := make(map[string]float64)
			Lookup(name).Whole(&metrics.Snapshot{Kernel: test.kernel}, func(attribute string, n float64) { got[attribute] = n })
			if !maps.Equal(got, test.want[name]) {
				t.Errorf("%+v: %s is %v, want %v", test.kernel, name, got, test.want[name])
			}
		}
	}
}

// The bounds that OpenTelemetry is advised of are those of the accounts, or the
// first of them where OpenTelemetry has its own. Those that the conventions for
// HTTP give are word for word what stands there.
func TestBounds(t *testing.T) {
	var m metrics.Meter
	h := m.Host("example.com:443")
	why := h.DialStart(metrics.AllBusy)
	h.DialDone(metrics.Dial{Reason: why, DNS: 1, TCP: 1, TLS: 1, Total: 3})
	c := h.Born(true)
	h.Waited(1, false, nil)
	now := time.Now()
	h.Lease(now, false)
	h.Return(now.Add(1), now)
	c.Leave(metrics.IdleTimeout)
	c.Ended(linger.PeerFirst, false)
	s := m.Snapshot()
	g := Group{Hosts: []*metrics.HostSnapshot{&s.Hosts[0]}}
	for _, row := range Metrics {
		recorded := 0
		row.Histograms(&g, func(attribute string, h *metrics.Histogram) {
			recorded++
			if row.HTTP {
				if want := []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300}; !slices.Equal(row.Bounds, want) {
					t.Errorf("%s: the table has %v, the conventions %v", row.Name, row.Bounds, want)
				}
				h.Bounds = h.Bounds[:min(len(row.Bounds), len(h.Bounds))]
			}
			if !slices.Equal(h.Bounds, row.Bounds) {
				t.Errorf("%s %s: the accounts have %v, the table %v", row.Name, attribute, h.Bounds, row.Bounds)
			}
		})
		if row.Kind == Histogram && recorded != max(1, len(row.Values)) {
			t.Errorf("%s: %d distributions", row.Name, recorded)
		}
	}
}
