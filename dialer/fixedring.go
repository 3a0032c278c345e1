package dialer

import (
	"container/heap"
	"net/netip"
	"sync"
	"time"
)

// ringKept is how long a ring is remembered that nobody uses: until the kernel
// has forgotten its last connection too, a FIN_WAIT2 and the TIME_WAIT after it.
const ringKept = 2 * timeWaitFor

// fixedRings are the process's, as the ports are the host's: Dialers that have
// the same FixedPorts share them.
var fixedRings rings

// rings hold the fixed ports. The zero rings are ready.
type rings struct {
	mu    sync.Mutex // taken after attempt.mu; nothing is called out to under it
	by    map[way]*ring
	sweep time.Time // when rings are next looked for that can be forgotten
}

// A way is what has a ring of its own: from a port to a destination there is one
// connection per source.
type way struct {
	use
	ports PortRange
}

// A ring hands out the ports of a way. Those that were never used come first,
// then that which was given back first: HAProxy's way to let a port rest as long
// as there are others.
type ring struct {
	fresh  int // the next port that was never used
	out    int
	ending int           // how many of those belong to connections that have been closed
	news   chan struct{} // closed when one comes back; nil: nobody waits
	back   slots
	unused time.Time // since when none is out
}

// A slot is a port that is to be used again.
type slot struct {
	port  uint16
	ready time.Time // when it may be; zero: it was never used

	// bare says that its last connection had no timestamps. A TIME_WAIT that it
	// has left must be gone.
	bare bool
}

// take takes a port that is ready at the latest time. If there is none, but a
// connection is about to end, it returns a channel that is closed when one has.
func (r *rings) take(w way, now, latest time.Time) (*lease, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !now.Before(r.sweep) {
		r.forget(now)
	}
	g := r.by[w]
	if g == nil {
		if r.by == nil {
			r.by = make(map[way]*ring)
		}
		g = &ring{fresh: int(w.ports.Lo), unused: now}
		r.by[w] = g
	}
	s, ok := g.next(w, latest)
	switch {
	case ok:
		g.out++
		return &lease{rings: r, ring: g, way: w, slot: s}, nil
	case g.ending == 0:
		return nil, nil
	case g.news == nil:
		g.news = make(chan struct{})
	}
	return nil, g.news
}

func (g *ring) next(w way, latest time.Time) (slot, bool) {
	if g.fresh == int(w.to.Port()) {
		// From that port a socket could be connected to itself.
		g.fresh++
	}
	if g.fresh <= int(w.ports.Hi) {
		g.fresh++
		return slot{port: uint16(g.fresh - 1)}, true
	}
	if len(g.back) == 0 || g.back[0].ready.After(latest) {
		return slot{}, false
	}
	return heap.Pop(&g.back).(slot), true
}

// forget drops the rings that have not been used for long.
func (r *rings) forget(now time.Time) {
	r.sweep = now.Add(ringKept / 2)
	for w, g := range r.by {
		if g.out == 0 && now.Sub(g.unused) >= ringKept {
			delete(r.by, w)
		}
	}
}

// A lease is a port that is in use: by a dial, and then by its connection.
type lease struct {
	rings *rings
	ring  *ring
	way
	slot

	ending bool // guarded by rings.mu, as is given
	given  bool
}

// local is the address to bind to.
func (l *lease) local() netip.AddrPort { return netip.AddrPortFrom(l.source, l.port) }

// end says that the connection has been closed.
func (l *lease) end() {
	l.rings.mu.Lock()
	defer l.rings.mu.Unlock()
	if !l.ending && !l.given {
		l.ending = true
		l.ring.ending++
	}
}

// giveBack gives the port back, once: again is ignored, whoever comes second. It
// may be used again when it is ready.
func (l *lease) giveBack(ready time.Time, bare bool) {
	now := time.Now()
	l.rings.mu.Lock()
	defer l.rings.mu.Unlock()
	if l.given {
		return
	}
	l.given = true
	g := l.ring
	if g.out--; g.out == 0 {
		g.unused = now
	}
	if l.ending {
		g.ending--
	}
	heap.Push(&g.back, slot{l.port, ready, bare})
	if g.news != nil {
		close(g.news)
		g.news = nil
	}
}

// unused gives back a port from which nothing was sent.
func (l *lease) unused() { l.giveBack(l.ready, l.bare) }

// used gives back a port that rests now.
func (l *lease) used() { l.giveBack(time.Now().Add(quarantine), l.bare) }

// slots are a heap, the first to be ready on top.
type slots []slot

func (s slots) Len() int           { return len(s) }
func (s slots) Less(i, j int) bool { return s[i].ready.Before(s[j].ready) }
func (s slots) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *slots) Push(x any)        { *s = append(*s, x.(slot)) }

func (s *slots) Pop() any {
	last := len(*s) - 1
	x := (*s)[last]
	*s = (*s)[:last]
	return x
}
