package table

import (
	"time"

	"github.com/lastack/lastack/internal/procfs"
	"github.com/lastack/lastack/metrics"
)

// The histograms, which exporters that keep their own counts record by name.
const (
	ConnectionDuration = "http.client.connection.duration"
	CreateTime         = "lastack.connection.create_time"
	DialPhase          = "lastack.connection.dial_phase.duration"
	WaitTime           = "lastack.connection.wait_time"
	UseTime            = "lastack.connection.use_time"
	ConnectionRequests = "lastack.connection.requests"
)

// The phases of [DialPhase].
const (
	DNS     = "dns"
	Connect = "connect"
	TLS     = "tls"
)

// Metrics is the table.
var Metrics = []*Metric{
	{
		Name: "http.client.open_connections", Kind: UpDownCounter, Unit: "{connection}", HTTP: true,
		Help:      "Number of outbound HTTP connections that are currently active or idle on the client.",
		Attribute: "http.connection.state", Values: []string{"active", "idle"},
		host: func(h *metrics.HostSnapshot, y yield) {
			y("active", float64(h.Busy))
			y("idle", float64(h.Resting))
		},
	},
	{
		Name: ConnectionDuration, Kind: Histogram, Unit: "s", HTTP: true,
		Help:   "The duration of the successfully established outbound HTTP connections.",
		Bounds: lifeBounds,
		hist:   func(h *metrics.HostSnapshot, y yieldHistogram) { y("", &h.LifeTime) },
	},
	{
		Name: "http.client.active_requests", Kind: UpDownCounter, Unit: "{request}", HTTP: true,
		Help: "Number of active HTTP requests.",
		host: func(h *metrics.HostSnapshot, y yield) { y("", float64(h.Active)) },
	},

	counter("lastack.requests", "{request}", "Requests begun, each counted once, however often it was sent.",
		func(h *metrics.HostSnapshot) uint64 { return h.Requests }),
	counter("lastack.request.retries", "{retry}", "Attempts to send a request after its first.",
		func(h *metrics.HostSnapshot) uint64 { return h.Retries }),
	{
		Name: "lastack.connection.acquires", Kind: Counter, Unit: "{acquire}",
		Help:      "Attempts that were given a connection: one that had served before, or a new one.",
		Attribute: "lastack.acquire.source", Values: []string{"reused", "new"},
		host: func(h *metrics.HostSnapshot, y yield) {
			y("reused", float64(h.Reused))
			y("new", float64(h.Leases-h.Reused))
		},
	},
	{
		Name: "lastack.connection.dials", Kind: Counter, Unit: "{dial}",
		Help:      "Dials started, and why.",
		Attribute: "lastack.dial.reason",
		host: func(h *metrics.HostSnapshot, y yield) {
			for reason, n := range h.DialedBy {
				y(reason, float64(n))
			}
		},
	},
	counter("lastack.connection.dial_errors", "{dial}", "Dials that failed.",
		func(h *metrics.HostSnapshot) uint64 { return h.DialErrors }),
	level("lastack.connection.active_dials", "{dial}", "Dials in progress.",
		func(h *metrics.HostSnapshot) int64 { return h.Dialing }),
	{
		Name: CreateTime, Kind: Histogram, Unit: "s",
		Help:   "The time that a dial took until a request could use its connection.",
		Bounds: dialBounds,
		hist:   func(h *metrics.HostSnapshot, y yieldHistogram) { y("", &h.DialTime) },
	},
	{
		Name: DialPhase, Kind: Histogram, Unit: "s",
		Help:      "The time that the parts of a dial took, for those dials that had the part.",
		Attribute: "lastack.dial.phase", Values: []string{DNS, Connect, TLS},
		Bounds: dialBounds,
		hist: func(h *metrics.HostSnapshot, y yieldHistogram) {
			y(DNS, &h.DNSTime)
			y(Connect, &h.TCPTime)
			y(TLS, &h.TLSTime)
		},
	},
	{
		Name: WaitTime, Kind: Histogram, Unit: "s",
		Help:   "The time that a request waited for a connection, for those that had to.",
		Bounds: dialBounds,
		hist:   func(h *metrics.HostSnapshot, y yieldHistogram) { y("", &h.WaitTime) },
	},
	{
		Name: UseTime, Kind: Histogram, Unit: "s",
		Help:   "The time that a request had its connection.",
		Bounds: useBounds,
		hist:   func(h *metrics.HostSnapshot, y yieldHistogram) { y("", &h.UseTime) },
	},
	{
		Name: ConnectionRequests, Kind: Histogram, Unit: "{request}",
		Help:   "Requests that a connection had served when it ended.",
		Bounds: requestsBounds,
		hist:   func(h *metrics.HostSnapshot, y yieldHistogram) { y("", &h.PerConn) },
	},
	counter("lastack.connection.waits", "{request}", "Requests that found no connection free.",
		func(h *metrics.HostSnapshot) uint64 { return h.Waits }),
	level("lastack.connection.pending_requests", "{request}", "Requests that wait for a connection.",
		func(h *metrics.HostSnapshot) int64 { return h.Waiting }),
	counter("lastack.connection.timeouts", "{timeout}", "Requests that gave up waiting for a connection.",
		func(h *metrics.HostSnapshot) uint64 { return h.Timeouts }),

	counter("lastack.connection.created", "{connection}", "Connections born.",
		func(h *metrics.HostSnapshot) uint64 { return h.Born }),
	counter("lastack.connection.unmanaged", "{connection}", "Connections born whose ending is not the pool's to choose.",
		func(h *metrics.HostSnapshot) uint64 { return h.Unmanaged }),
	{
		Name: "lastack.open_connections", Kind: UpDownCounter, Unit: "{connection}",
		Help:      "Connections that serve a request, that rest, and that will not serve any more and have not ended.",
		Attribute: "lastack.connection.state", Values: []string{"active", "idle", "leaving"},
		host: func(h *metrics.HostSnapshot, y yield) {
			y("active", float64(h.Busy))
			y("idle", float64(h.Resting))
			y("leaving", float64(h.Leaving))
		},
	},
	{
		Name: "lastack.connection.left", Kind: Counter, Unit: "{connection}",
		Help:      "Connections that were given a reason to serve no more, by the first reason given.",
		Attribute: "lastack.leave.reason",
		host: func(h *metrics.HostSnapshot, y yield) {
			for reason, n := range h.Reasons {
				// A reason that comes late takes the place of "closed", so
				// that is no counter. It is what this one lacks.
				if reason != metrics.Closed {
					y(reason, float64(n))
				}
			}
		},
	},
	{
		Name: "lastack.connection.closed", Kind: Counter, Unit: "{connection}",
		Help:      "Connections that have ended, and how.",
		Attribute: "lastack.close.outcome", Values: endings(),
		host: func(h *metrics.HostSnapshot, y yield) {
			for ending, n := range h.Ended {
				y(ending.String(), float64(n))
			}
		},
	},
	counter("lastack.connection.hurried", "{connection}", "Farewells that were cut short: they did not wait for the peer.",
		func(h *metrics.HostSnapshot) uint64 { return h.Hurried }),

	counter("lastack.time_wait.created", "{socket}", "TIME_WAIT sockets that the pool's connections left on this side, as the kernel says.",
		func(h *metrics.HostSnapshot) uint64 { return h.TimeWaits }),
	{
		Name: "lastack.time_wait.standing", Kind: UpDownCounter, Unit: "{socket}",
		Help: "TIME_WAIT sockets of the pool's connections of the last 60 seconds.",
		host: func(h *metrics.HostSnapshot, y yield) { y("", float64(h.Standing)) },
	},
	models("lastack.counterfactual.time_wait.created", Counter, "{socket}",
		"TIME_WAIT sockets that the same requests would have left without the pool, at least; for per_request, at most.",
		func(h *metrics.HostSnapshot) map[string]uint64 { return h.WouldHave }),
	models("lastack.counterfactual.time_wait.standing", UpDownCounter, "{socket}",
		"TIME_WAIT sockets of the last 60 seconds that would stand without the pool.",
		func(h *metrics.HostSnapshot) map[string]uint64 { return h.WouldStand }),
	models("lastack.counterfactual.dials", Counter, "{dial}",
		"Connections that the same requests would have dialled without the pool.",
		func(h *metrics.HostSnapshot) map[string]uint64 { return h.WouldDial }),

	{
		Name: "lastack.leaks", Kind: Counter, Unit: "{body}",
		Help:      "Response bodies that the program has forgotten to close, and those that it held for too long.",
		Attribute: "lastack.leak.kind", Values: []string{"abandoned", "late"},
		host: func(h *metrics.HostSnapshot, y yield) {
			y("abandoned", float64(h.Leaks))
			y("late", float64(h.HeldBodies))
		},
	},
	{
		Name: "lastack.server.keepalive_timeout", Kind: Gauge, Unit: "s",
		Help:      "How long the server keeps a connection that rests: as it said, or as it was seen to do.",
		Attribute: "lastack.source", Values: []string{"header", "observed"},
		host: func(h *metrics.HostSnapshot, y yield) {
			if h.KeepAlive.Timeout > 0 {
				source := "header"
				if h.KeepAlive.Learned {
					source = "observed"
				}
				y(source, h.KeepAlive.Timeout.Seconds())
			}
		},
	},

	{
		Name: "lastack.host.time_wait.created", Kind: Counter, Unit: "{socket}",
		Help: "TIME_WAIT sockets that the kernel has created in this network namespace since the pool's beginning, for anybody, as of the last reconciliation.",
		whole: func(s *metrics.Snapshot, y yield) {
			if k, ok := kernel(s); ok && k.Counts {
				y("", float64(k.Created))
			}
		},
	},
	{
		Name: "lastack.host.time_wait.standing", Kind: Gauge, Unit: "{socket}",
		Help:      "TIME_WAIT sockets of this network namespace, the pool's and others', as of the last reconciliation.",
		Attribute: "lastack.socket.owner", Values: []string{"pool", "other"},
		whole: func(s *metrics.Snapshot, y yield) {
			if k, ok := kernel(s); ok {
				y("pool", float64(k.Ours))
				y("other", float64(k.Others))
			}
		},
	},
	{
		Name: "lastack.host.time_wait.reconciled", Kind: Gauge, Unit: "{agreement}",
		Help: "Whether the kernel agreed with the pool's count of TIME_WAIT sockets when it was asked last: 1 or 0.",
		whole: func(s *metrics.Snapshot, y yield) {
			if k, ok := kernel(s); ok {
				agrees := 0.0
				if k.Agrees {
					agrees = 1
				}
				y("", agrees)
			}
		},
	},
	{
		Name: "lastack.host.ephemeral_port.limit", Kind: Gauge, Unit: "{port}",
		Help: "Local ports that this system has for connections from one of its addresses to one destination.",
		whole: func(_ *metrics.Snapshot, y yield) {
			if n, ok := ports(); ok {
				y("", float64(n))
			}
		},
	},
}

// staleAfter is for how long what the kernel has said is exported. TIME_WAITs
// stand for a minute; and somebody who has looked at the page once must not be
// told for days whether the kernel agrees.
const staleAfter = 10 * time.Minute

// kernel returns what the kernel said when it was asked last, unless that is too
// long ago.
func kernel(s *metrics.Snapshot) (metrics.Reconciliation, bool) {
	return s.Kernel, s.Kernel.Checked && time.Since(s.Kernel.At) < staleAfter
}

// ports returns the size of the system's ephemeral range, without the ports in
// it that are reserved.
func ports() (int, bool) {
	all, err := procfs.LocalPorts()
	if err != nil {
		return 0, false
	}
	reserved, err := procfs.ReservedPorts()
	if err != nil {
		return 0, false
	}
	return all.Len() - reserved.Within(all), true
}
