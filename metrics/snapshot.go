package metrics

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lastack/lastack/linger"
)

// The models of [Snapshot.WouldHave]; the package comment describes them.
const (
	PerRequest     = "per_request"
	NetHTTPDefault = "net_http_default"
)

// A Snapshot is the accounts of a [Meter] at one moment. It is the caller's,
// who may change it. All counts are since the Meter's beginning.
type Snapshot struct {
	Requests   uint64 `json:"requests"`    // begun, each once
	Leases     uint64 `json:"leases"`      // attempts that got a connection
	Reused     uint64 `json:"reused"`      // of those, on one that had served before
	Dials      uint64 `json:"dials"`       // started
	DialErrors uint64 `json:"dial_errors"` // of those, failed
	Waits      uint64 `json:"waits"`       // requests that found no connection free
	Retries    uint64 `json:"retries"`     // attempts after the first
	Born       uint64 `json:"born"`        // connections
	Unmanaged  uint64 `json:"unmanaged"`   // of those, with an ending that is not ours to choose
	Hurried    uint64 `json:"hurried"`     // farewells that skipped their wait for the peer
	Leaks      uint64 `json:"leaks"`       // response bodies that were never closed, and are now
	HeldBodies uint64 `json:"held_bodies"` // response bodies that were open for too long

	Dialing int64 `json:"dialing"` // dials in progress
	Resting int64 `json:"resting"` // connections that are kept and serve no request
	Busy    int64 `json:"busy"`    // connections that serve a request
	Leaving int64 `json:"leaving"` // connections that will not serve any more

	Ended   map[linger.Ending]uint64 `json:"ended"`   // how connections ended
	Reasons map[string]uint64        `json:"reasons"` // why they left

	TimeWaits uint64            `json:"time_waits"` // that our connections left here, as the kernel says
	WouldHave map[string]uint64 `json:"would_have"` // model → TIME_WAITs that it would have left

	WouldDial map[string]uint64 `json:"would_dial"` // model → connections that it would have dialled

	// The TIME_WAITs of the last 60 seconds, which are those that stand now.
	Standing   uint64            `json:"standing"`    // ours
	WouldStand map[string]uint64 `json:"would_stand"` // model → those that would stand

	Active   int64             `json:"active"`       // requests begun and not ended
	Waiting  int64             `json:"waiting"`      // requests that wait for a connection
	Timeouts uint64            `json:"timeouts"`     // requests that gave up waiting
	DialedBy map[string]uint64 `json:"dial_reasons"` // why connections were dialled

	DNSTime  Histogram  `json:"dns_time"`            // of dials that had to ask
	TCPTime  Histogram  `json:"tcp_time"`            // to connect
	TLSTime  Histogram  `json:"tls_time"`            // of handshakes
	DialTime Histogram  `json:"dial_time"`           // from the dial's start to its use
	WaitTime Histogram  `json:"wait_time"`           // of requests that waited
	UseTime  Histogram  `json:"use_time"`            // from lease to return
	LifeTime Histogram  `json:"life_time"`           // of connections that have ended
	PerConn  Histogram  `json:"per_conn"`            // requests of connections that have ended
	LeakedAt []LeakSite `json:"leaked_at,omitempty"` // the worst first

	// Kernel is what the last [Meter.Reconcile] found. It is of all hosts.
	Kernel Reconciliation `json:"kernel,omitzero"`

	Hosts []HostSnapshot `json:"hosts,omitempty"` // the same for each host, by name
}

// A HostSnapshot is the part of a [Snapshot] that concerns one host. Its Hosts
// is nil.
type HostSnapshot struct {
	Name string `json:"name"` // as given to Meter.Host
	Snapshot

	Multiplexed bool      `json:"multiplexed"`         // connections carry several requests at a time
	KeepAlive   KeepAlive `json:"keep_alive,omitzero"` // the server's idle limit

	// Curve is for 0, 1, 2, … resting connections, up to the number that would
	// have been enough (or 63): with more a pool would have done the same. It is
	// nil where Multiplexed.
	Curve []WhatIf `json:"curve,omitempty"`
}

// Snapshot returns the accounts as they are now. It may be called at any time;
// each host is read at one moment, so [Snapshot.Balance] holds even while
// connections move.
func (m *Meter) Snapshot() Snapshot {
	total := Snapshot{
		Ended:    make(map[linger.Ending]uint64),
		Reasons:  make(map[string]uint64),
		DialedBy: make(map[string]uint64),
	}
	total.Kernel = m.lastReconciliation()
	hosts := m.known().sorted
	bounds := newBounds()
	if len(hosts) > 0 {
		total.Hosts = make([]HostSnapshot, len(hosts))
	}
	for i, h := range hosts {
		s := &total.Hosts[i]
		s.Name, s.KeepAlive = h.name, h.keepAlive.read()
		h.read(&s.Snapshot, &total, bounds)
	}
	m.haunt(&total, hosts)
	for i := range total.Hosts {
		total.add(&total.Hosts[i].Snapshot)
	}
	return total
}

// add adds the counts of h to those of s, but for the maps.
func (s *Snapshot) add(h *Snapshot) {
	s.Requests += h.Requests
	s.Leases += h.Leases
	s.Reused += h.Reused
	s.Dials += h.Dials
	s.DialErrors += h.DialErrors
	s.Waits += h.Waits
	s.Retries += h.Retries
	s.Born += h.Born
	s.Unmanaged += h.Unmanaged
	s.Hurried += h.Hurried
	s.Leaks += h.Leaks
	s.HeldBodies += h.HeldBodies
	s.Dialing += h.Dialing
	s.Resting += h.Resting
	s.Busy += h.Busy
	s.Leaving += h.Leaving
	s.Active += h.Active
	s.Waiting += h.Waiting
	s.Timeouts += h.Timeouts
	s.TimeWaits += h.TimeWaits
	s.Standing += h.Standing
	theirs := h.histograms()
	for i, mine := range s.histograms() {
		mine.add(*theirs[i])
	}
	s.LeakedAt = addSites(s.LeakedAt, h.LeakedAt)
}

// Balance returns nil if every connection that was born is in one place, in
// all and for each host, and nothing is counted below zero. Otherwise the
// error names what does not balance.
func (s Snapshot) Balance() error {
	err := s.balance("in all")
	for _, h := range s.Hosts {
		err = errors.Join(err, h.balance(h.Name))
	}
	return err
}

func (s Snapshot) balance(name string) error {
	var ended uint64
	for _, n := range s.Ended {
		ended += n
	}
	var err error
	if s.Dialing < 0 || s.Resting < 0 || s.Busy < 0 || s.Leaving < 0 || s.Active < 0 || s.Waiting < 0 {
		err = fmt.Errorf("metrics: %s: less than none: %d dialing, %d resting, %d busy, %d leaving; %d requests active, %d waiting",
			name, s.Dialing, s.Resting, s.Busy, s.Leaving, s.Active, s.Waiting)
	}
	if found := s.Resting + s.Busy + s.Leaving + int64(ended); int64(s.Born) != found {
		err = errors.Join(err, fmt.Errorf("metrics: %s: %d connections born, but %d accounted for: %d resting, %d busy, %d leaving, %d ended",
			name, s.Born, found, s.Resting, s.Busy, s.Leaving, ended))
	}
	return err
}

// String returns a summary of some lines for people to read. Programs should
// read the fields.
func (s Snapshot) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "requests:    %d (%d of %d leases reused a connection; %d waits, %d retries)\n",
		s.Requests, s.Reused, s.Leases, s.Waits, s.Retries)
	fmt.Fprintf(&b, "dials:       %d (%d failed, %d in progress)\n", s.Dials, s.DialErrors, s.Dialing)
	fmt.Fprintf(&b, "connections: %d born, %d resting, %d busy, %d leaving\n", s.Born, s.Resting, s.Busy, s.Leaving)
	ended := make(map[string]uint64, len(s.Ended))
	for e, n := range s.Ended {
		ended[e.String()] = n
	}
	fmt.Fprintf(&b, "ended:       %s\n", counts(ended))
	fmt.Fprintf(&b, "left for:    %s\n", counts(s.Reasons))
	if s.Leaks > 0 || s.HeldBodies > 0 {
		fmt.Fprintf(&b, "bodies:      %d leaked, %d open for too long\n", s.Leaks, s.HeldBodies)
	}
	fmt.Fprintf(&b, "TIME_WAITs:  %d; would have been at least %d with net/http's defaults, up to %d with a connection per request\n",
		s.TimeWaits, s.WouldHave[NetHTTPDefault], s.WouldHave[PerRequest])
	return b.String()
}

// counts prints a map of counts, the largest first.
func counts(m map[string]uint64) string {
	if len(m) == 0 {
		return "none"
	}
	names := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		if m[a] != m[b] {
			if m[a] > m[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = fmt.Sprintf("%s %d", name, m[name])
	}
	return strings.Join(parts, ", ")
}
