package metrics

import "time"

// A ghost is an event simulation of http.DefaultTransport over all hosts,
// which holds no connections and reads no clock. It is given the events of the
// real pool in the order of their times.
//
// A request takes the host's newest idle connection. If there is none it
// starts a dial and takes what comes first, its dial or a connection that
// another request returns; what is left over becomes idle, or is closed if
// enough are. A request that had to wait returns its connection as much later
// than it did in reality.
type ghost struct {
	now    int64  // nothing happens before it any more
	timers timers // connections that become free later
	idle   idleList
}

// The settings of http.DefaultTransport.
const (
	idlePerHost = 2
	idleInAll   = 100
	idleFor     = int64(90 * time.Second)
)

// A hostGhost is what the ghost knows of one host.
type hostGhost struct {
	requests requestQueue
	idle     [idlePerHost]*idleConn // the oldest first; unused ones beyond nIdle
	nIdle    int

	dialTime     int64 // moving mean of the real pool's dials; 0: none yet
	lastDial     int64 // when the last dial that was started is done
	spoiled      int   // returned connections that are of no use
	serverCloses bool  // its server has been seen to close idle connections

	// The results.
	perRequest uint64 // connections that "one per request" would have closed
	closed     uint64 // connections that the ghost closed
}

func (h *hostGhost) init() {
	for i := range h.idle {
		h.idle[i] = &idleConn{host: h}
	}
}

// step does what e says. An event that is earlier than the one before it is
// taken to be as late.
func (g *ghost) step(e event) {
	h := e.ghost
	if e.kind == dialed {
		h.learnDialTime(e.at)
		return
	}
	g.advance(e.at)
	switch e.kind {
	case leased:
		g.lease(h)
	case returned:
		g.giveBack(h)
	case spoiled:
		h.spoiled++
	case serverCloses:
		h.serverCloses = true
	}
}

// advance lets time pass until now.
func (g *ghost) advance(now int64) {
	for {
		t, pending := g.timers.next()
		oldest := g.idle.oldest
		switch {
		case oldest != nil && oldest.since+idleFor <= now && (!pending || oldest.since+idleFor <= t):
			g.now = max(g.now, oldest.since+idleFor)
			g.expire(oldest)
		case pending && t <= now:
			g.now = max(g.now, t)
			g.free(g.timers.pop())
		default:
			g.now = max(g.now, now)
			return
		}
	}
}

// lease gives a request a connection, or makes it wait for one.
func (g *ghost) lease(h *hostGhost) {
	wait := int64(0)
	if h.nIdle == 0 {
		wait = waiting
	}
	switch {
	case !h.requests.push(g.now, wait):
	case wait == waiting:
		// Dials of one host end in the order in which they began, even while
		// the mean falls.
		h.lastDial = max(h.lastDial, g.now+h.dialTime)
		g.timers.push(h.lastDial, h)
	default:
		g.idle.remove(h.popIdle(h.nIdle - 1))
	}
}

// giveBack ends the longest-lasting request. Which request it was in reality
// is not known, and matters only to how long each had waited.
func (g *ghost) giveBack(h *hostGhost) {
	r := h.requests.finish(g.now)
	if r == nil {
		return // leased before the host was known to need a ghost
	}
	h.perRequest++
	if h.spoiled > 0 {
		h.spoiled--
		r.spoiled = true
	}
	if r.wait != waiting {
		g.release(h, r)
	}
}

// release frees the connection of a request that has both got one and ended.
func (g *ghost) release(h *hostGhost, r *request) {
	defer h.requests.trim()
	if r.spoiled {
		return
	}
	if at := r.end + r.wait; at > g.now {
		g.timers.push(at, h)
	} else {
		g.free(h)
	}
}

// free does with a connection of h what net/http's tryPutIdleConn does.
func (g *ghost) free(h *hostGhost) {
	if r := h.requests.grant(g.now); r != nil {
		if r.end != unfinished {
			g.release(h, r)
		}
		return
	}
	if h.nIdle == idlePerHost {
		h.closed++
		return
	}
	g.idle.add(h.pushIdle(g.now))
	if g.idle.n > idleInAll {
		g.expire(g.idle.oldest)
	}
}

// expire closes an idle connection. If its server closes idle connections too,
// it may have done so before, so this one is not counted.
func (g *ghost) expire(c *idleConn) {
	h := c.host
	g.idle.remove(h.popIdle(0)) // the oldest of all is the oldest of its host
	if !h.serverCloses {
		h.closed++
	}
}

// learnDialTime moves the mean an eighth of the way, as TCP does for its
// round-trip time.
func (h *hostGhost) learnDialTime(took int64) {
	took = max(took, 0)
	if h.dialTime == 0 {
		h.dialTime = took
		return
	}
	h.dialTime += (took - h.dialTime) / 8
}
