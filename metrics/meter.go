package metrics

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxHosts bounds the hosts that a Meter counts apart.
const maxHosts = 1000

// A Meter is one set of accounts, usually one for each pool. The zero value is
// ready to use. A Meter may be used by several goroutines at a time and must
// not be copied.
type Meter struct {
	// Ghosts are further models for [Snapshot.WouldHave], beside [PerRequest]
	// and [NetHTTPDefault]: the settings of a pool that was there before, for
	// one. Each costs every request some nanoseconds. They must be set before
	// the Meter's first use and not be changed after it. Those that cannot be
	// used ([Meter.Check]) are left out.
	Ghosts []Ghost

	// Observer is told what happens. It must be set before the Meter is used.
	// If nil, nobody is.
	Observer Observer

	// hosts is replaced, never changed, so that finding a host takes no lock.
	hosts atomic.Pointer[hostSet]

	mu    sync.Mutex // held to replace hosts
	start time.Time  // what events count from; set with the first host

	begin         sync.Once
	createdBefore int64 // see before; written by begin
	ours          ours
	kernel        atomic.Pointer[Reconciliation] // the last; or nil

	feed   feed
	flight flight
}

// Host returns the ledger of one destination, such as "example.com:443". It
// always returns the same one for the same name; the names beyond the first
// thousand share one that is called "_other". It is cheap enough to be called
// for each request.
func (m *Meter) Host(name string) *Host {
	if h := m.known().named[name]; h != nil {
		return h
	}
	m.before()
	m.mu.Lock()
	defer m.mu.Unlock()
	hosts := m.known()
	if len(hosts.sorted) >= maxHosts {
		name = overflowName
	}
	if h := hosts.named[name]; h != nil {
		return h
	}
	if len(hosts.sorted) == 0 {
		m.start = time.Now()
		m.feed.sim.ghosts = newGhosts(m.Ghosts) // nobody else has the feed yet
	}
	h := &Host{name: name, meter: m}
	h.ghost = m.feed.sim.ghosts.host(&h.keepAlive)
	m.hosts.Store(hosts.with(h))
	return h
}

// Accounts returns m: a Meter stands where something is asked for that has one.
func (m *Meter) Accounts() *Meter { return m }

func (m *Meter) known() hostSet {
	if p := m.hosts.Load(); p != nil {
		return *p
	}
	return hostSet{}
}

// A hostSet is the hosts that a Meter knows. It is never changed.
type hostSet struct {
	named  map[string]*Host
	sorted []*Host // by name, as a Snapshot has them
}

// with returns the set with one more host.
func (s hostSet) with(h *Host) *hostSet {
	more := &hostSet{named: make(map[string]*Host, len(s.named)+1)}
	maps.Copy(more.named, s.named)
	more.named[h.name] = h
	i, _ := slices.BinarySearchFunc(s.sorted, h.name, func(o *Host, name string) int { return strings.Compare(o.name, name) })
	more.sorted = slices.Insert(slices.Clone(s.sorted), i, h)
	return more
}
