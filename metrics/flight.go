package metrics

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/lastack/lastack/internal/tcpaddr"
	"github.com/lastack/lastack/internal/witness"
	"github.com/lastack/lastack/linger"
)

const (
	// maxAlive bounds the connections whose lives are followed at a time.
	maxAlive = 500

	// maxGone bounds the lives that are kept when they are over.
	maxGone = 100

	// maxUses bounds the uses of a connection that are kept.
	maxUses = 16

	// useEvery is how far apart the beginnings of uses are that are noted, after
	// the first few. On a connection that is used a thousand times a second
	// the newest would tell of an instant only, and cost each request more.
	useEvery = 100 * time.Millisecond
)

// A flight is a Meter's recorder of lives. Connections come to it when they are
// born and when they have ended; what they do in between they note by
// themselves. The zero value is ready.
type flight struct {
	mu sync.Mutex // nothing is called under it, and no Host's mu is taken

	// alive does not keep connections: one that its program has forgotten
	// never ends, and its account goes with it.
	alive []weak.Pointer[Conn]
	free  []int // places in alive
	wait  int   // births until forgotten ones are looked for again

	gone []*Conn // a ring
	next int     // the place in gone of the one that ends next, once it is full
}

// begin follows a connection, unless there are too many.
func (f *flight) begin(c *Conn) {
	c.seat = -1
	w := weak.Make(c)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.alive) < maxAlive {
		c.seat = len(f.alive)
		f.alive = append(f.alive, w)
		return
	}
	if len(f.free) == 0 {
		f.look()
	}
	if n := len(f.free); n > 0 {
		c.seat = f.free[n-1]
		f.free = f.free[:n-1]
		f.alive[c.seat] = w
	}
}

// look frees the places of connections that were forgotten. When there are none it
// is not done again for the next few hundred births, which all wait for it.
func (f *flight) look() {
	if f.wait > 0 {
		f.wait--
		return
	}
	for i, w := range f.alive {
		if w.Value() == nil {
			f.free = append(f.free, i)
		}
	}
	if len(f.free) == 0 {
		f.wait = maxAlive / 2
	}
}

// end keeps a connection that has ended in place of the oldest.
func (f *flight) end(c *Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.seat >= 0 {
		f.alive[c.seat] = weak.Pointer[Conn]{}
		f.free = append(f.free, c.seat)
	}
	if len(f.gone) < maxGone {
		f.gone = append(f.gone, c)
		return
	}
	f.gone[f.next] = c
	f.next = (f.next + 1) % maxGone
}

// conns returns those that are alive and those that have ended last.
func (f *flight) conns() []*Conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := slices.Clone(f.gone)
	for _, w := range f.alive {
		if c := w.Value(); c != nil {
			all = append(all, c)
		}
	}
	return all
}

// Lives returns what the connections that are there have done, and the last
// hundred that have ended: the oldest birth first. Of more than five hundred
// that are there at a time, some are left out until they have ended.
func (m *Meter) Lives() []Life {
	conns := m.flight.conns()
	lives := make([]Life, len(conns))
	for i, c := range conns {
		lives[i] = c.tale()
	}
	slices.SortStableFunc(lives, func(a, b Life) int { return cmp.Or(a.Born.Compare(b.Born), a.Gone.Compare(b.Gone)) })
	return lives
}

// A record is what a Conn notes of its life. Times are nanoseconds since the
// Meter began.
type record struct {
	requests atomic.Uint64
	uses     uses

	born int64 // set before the Conn is shared
	seat int   // in flight.alive, or -1; belongs to the flight

	// guarded by host.mu; 0: not yet
	local, remote netip.AddrPort
	dialed        string
	left          int64
	closed        int64
	gone          int64
	ending        linger.Ending
	own           *owned // or nil
}

// Uses are the newest uses of a connection. Those who begin and end one need no
// lock: a reader may find one of them half written, and shows it so.
type uses struct {
	open  atomic.Bool
	begun atomic.Uint64           // ever
	next  atomic.Int64            // when another may be noted
	ring  atomic.Pointer[useRing] // nil: none was noted yet
}

type useRing [maxUses]struct{ from, took atomic.Int64 }

func (u *uses) begin(now int64) {
	if now < u.next.Load() || u.open.Load() || !u.open.CompareAndSwap(false, true) {
		return // it is not noted, or one of several requests at a time
	}
	ring := u.ring.Load()
	if ring == nil {
		ring = new(useRing) // gRPC's channels often have none
		u.ring.Store(ring)  // before begun says that there is one
	}
	n := u.begun.Add(1)
	if n >= maxUses {
		u.next.Store(now + int64(useEvery))
	}
	use := &ring[(n-1)%maxUses]
	use.took.Store(0)
	use.from.Store(now)
}

func (u *uses) end(now int64) {
	n := u.begun.Load() // before another can begin
	if n == 0 {
		return // the first is about to
	}
	use := &u.ring.Load()[(n-1)%maxUses]
	if u.open.CompareAndSwap(true, false) {
		use.took.Store(max(1, now-use.from.Load()))
	}
}

// Leased says that a request was given the connection at that time, which
// [time.Now] has returned. From then on the connection is in use, until
// [Conn.Rest]. It comes with [Host.Lease].
func (c *Conn) Leased(at time.Time) {
	c.requests.Add(1)
	c.uses.begin(c.host.since(at))
}

// SetDialed says why the connection was dialled, as [Host.DialStart] has it.
func (c *Conn) SetDialed(why string) {
	c.host.mu.Lock()
	c.dialed = why
	c.host.mu.Unlock()
}

// SetAddrs says between which addresses the connection is.
func (c *Conn) SetAddrs(local, remote net.Addr) {
	l, r := tcpaddr.Of(local), tcpaddr.Of(remote)
	own := c.host.meter.ours.begin(l, r)
	c.host.mu.Lock()
	c.local, c.remote = l, r
	c.own = own
	c.host.mu.Unlock()
	witness.Tell(witness.Metered, l, r)
}

// moment is now, for times that are zero as long as they have not come.
func (h *Host) moment() int64 { return max(1, h.now()) }

// tale returns the Life of the connection.
func (c *Conn) tale() Life {
	h := c.host
	at := func(since int64) time.Time {
		if since == 0 {
			return time.Time{}
		}
		return h.meter.start.Add(time.Duration(since))
	}
	h.mu.Lock()
	l := Life{
		Host:   h.name,
		Local:  c.local,
		Remote: c.remote,
		Born:   h.meter.start.Add(time.Duration(c.born)),
		Left:   at(c.left),
		Gone:   at(c.gone),
		Dialed: c.dialed,
		Reason: c.reason,
		Ending: c.ending,

		TimeWait: c.timeWait,
	}
	until := cmp.Or(c.closed, c.gone)
	if c.gone != 0 {
		l.Reason = cmp.Or(l.Reason, c.missed)
	}
	h.mu.Unlock()

	l.Requests = c.requests.Load()
	begun := c.uses.begun.Load()
	ring := c.uses.ring.Load() // after begun: it has one if that says so
	for i := begun - min(begun, maxUses); i < begun; i++ {
		use := &ring[i%maxUses]
		from, took := use.from.Load(), use.took.Load()
		if took == 0 && until != 0 {
			took = max(1, until-from) // it ended with the connection
		}
		l.Uses = append(l.Uses, Use{From: h.meter.start.Add(time.Duration(from)), For: time.Duration(took)})
	}
	return l
}
