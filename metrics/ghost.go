package metrics

import "math"

// A ghost is an event simulation of a http.Transport with some settings over
// all hosts, which holds no connections and reads no clock. It is given the
// events of the real pool in the order of their times.
//
// A request takes the host's newest idle connection. If there is none it
// starts a dial and takes what comes first, its dial or a connection that
// another request returns; what is left over becomes idle, or is closed if
// enough are. A request that had to wait returns its connection as much later
// than it did in reality.
type ghost struct {
	name string

	maxIdlePerHost int   // negative: none
	maxIdle        int   // over all hosts
	idleFor        int64 // nanoseconds

	now    int64  // nothing happens before it any more
	due    int64  // nor does anything by itself before it
	timers timers // connections that become free later
	idle   idleList
}

func newGhost(g Ghost) *ghost {
	sim := &ghost{
		name:           g.Name,
		maxIdlePerHost: g.MaxIdlePerHost,
		maxIdle:        g.MaxIdle,
		idleFor:        int64(g.IdleTimeout),
		due:            math.MaxInt64,
	}
	if g.MaxIdlePerHost == 0 {
		sim.maxIdlePerHost = idlePerHost
	}
	if g.MaxIdle == 0 {
		sim.maxIdle = math.MaxInt
	}
	if g.IdleTimeout <= 0 {
		sim.idleFor = math.MaxInt64
	}
	return sim
}

// A ghostPart is what one ghost knows of one host.
type ghostPart struct {
	host *hostGhost

	requests requestQueue
	idle     idleStack
	lastDial int64 // when the last dial that was started is done

	before, next *ghostPart // in the ghost's idleList, while there are idle connections

	// The results.
	dials  uint64 // connections that the ghost dialled
	closed uint64 // of those, closed by it, each of which is a TIME_WAIT
	recent minute // when
}

// lease gives a request a connection, or makes it wait for one.
func (g *ghost) lease(p *ghostPart) {
	g.lose(p)
	if p.idle.n > 0 {
		g.idle.take(p)
		p.requests.begun++
		return
	}
	if !p.requests.wait(g.now) {
		return
	}
	p.dials++
	// Dials of one host end in the order in which they began, even while the
	// mean falls.
	p.lastDial = max(p.lastDial, g.now+p.host.dialTime)
	g.later(p.lastDial, p)
}

// giveBack ends the longest-lasting request. Which request it was in reality
// is not known, and matters only to how long each had waited. A bad one's
// connection is of no use afterwards.
func (g *ghost) giveBack(p *ghostPart, bad bool) {
	if p.requests.ended == p.requests.begun {
		return // there were too many to follow
	}
	r := p.requests.finish(g.now)
	switch {
	case r == nil && !bad:
		g.free(p)
	case r != nil:
		r.spoiled = bad
		if r.wait != waiting {
			g.release(p, r)
		}
	}
}

// release frees the connection of a request that has both got one and ended.
func (g *ghost) release(p *ghostPart, r *request) {
	at, bad := r.end+r.wait, r.spoiled
	p.requests.trim()
	switch {
	case bad:
	case g.maxIdlePerHost < 0:
		p.close(g.now) // nobody else gets it, not even who waits
	case at > g.now:
		g.later(at, p)
	default:
		g.free(p)
	}
}

// free does with a connection of p what net/http's tryPutIdleConn does.
func (g *ghost) free(p *ghostPart) {
	if r := p.requests.grant(g.now); r != nil {
		if r.end != unfinished {
			g.release(p, r)
		}
		return
	}
	if g.lose(p); p.idle.n >= g.maxIdlePerHost {
		p.close(g.now)
		return
	}
	if g.idle.n == 0 {
		g.due = min(g.due, g.expiry(g.now))
	}
	g.idle.add(p, g.now)
	if g.idle.n > g.maxIdle {
		g.expire(g.idle.oldest(), true)
	}
}

// expire closes the oldest idle connection, which is of p, because there are too
// many or because of its age. If its server closes idle connections too, or is not
// known to keep them for as long, it may have done so before, so this one is not
// counted.
func (g *ghost) expire(p *ghostPart, tooMany bool) {
	n := p.idle.n
	if g.lose(p); p.idle.n < n {
		return // it is gone
	}
	g.idle.drop(p)
	if !p.host.serverCloses && (tooMany || p.host.keeps.bears(g.idleFor)) {
		p.close(g.now)
	}
}

// lose takes from p the idle connections that its server has closed by now.
func (g *ghost) lose(p *ghostPart) {
	if p.idle.n > 0 && p.host.keeps.known() {
		g.loseSince(p, g.now-int64(p.host.keeps.read().Timeout))
	}
}

// loseSince takes from p the connections that have been idle since then.
func (g *ghost) loseSince(p *ghostPart, then int64) {
	for p.idle.n > 0 && p.idle.oldest().since <= then {
		g.idle.drop(p)
	}
}

// expiry is when a connection goes that is idle since then.
func (g *ghost) expiry(since int64) int64 {
	if since > math.MaxInt64-g.idleFor {
		return math.MaxInt64
	}
	return since + g.idleFor
}

// later has a connection become free.
func (g *ghost) later(at int64, p *ghostPart) {
	g.timers.push(at, p)
	g.due = min(g.due, at)
}

// advance lets time pass until now.
func (g *ghost) advance(now int64) {
	if now >= g.due {
		g.pass(now)
	}
	g.now = max(g.now, now)
}

// pass does what is due by then, and finds out what is due next.
func (g *ghost) pass(now int64) {
	for {
		t, end := int64(math.MaxInt64), int64(math.MaxInt64)
		if len(g.timers.heap) > 0 {
			t = g.timers.heap[0].at
		}
		oldest := g.idle.oldest()
		if oldest != nil {
			end = g.expiry(oldest.idle.oldest().since)
		}
		g.due = min(t, end)
		if g.due > now || g.due == math.MaxInt64 {
			return
		}
		g.now = max(g.now, g.due)
		if end <= t {
			g.expire(oldest, false)
		} else {
			g.free(g.timers.pop())
		}
	}
}

// close counts a connection that the ghost closes.
func (p *ghostPart) close(now int64) {
	if p.host.leavesNone {
		return
	}
	p.closed++
	p.recent.add(now)
}
