package pool

import "time"

// What was seen of a host is remembered for some time after its last
// connection has gone, and then forgotten, so that a program which talks to
// many hosts does not grow.
const (
	backoffMemory = 30 * time.Second
	clockMemory   = 10 * time.Minute
)

// forget drops a group that has nothing left and nothing to remember.
func (t *Transport) forget(g *group) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.emptyLocked() && t.groups[g.key] == g && !g.remembersLocked() {
		g.dead = true
		delete(t.groups, g.key)
	}
}

// emptyLocked reports whether the group has nothing left, and nothing to do.
func (g *group) emptyLocked() bool {
	return len(g.live) == 0 && len(g.dials) == 0 && len(g.warmings) == 0 && g.waiters.len == 0 &&
		(g.closed || g.draining || g.t.cfg.minConns == 0)
}

// remembersLocked reports whether what was seen of the host is still of use, and
// if so has the group forgotten later.
func (g *group) remembersLocked() bool {
	if g.closed {
		return false
	}
	var until time.Time
	if g.backoff.failures > 0 {
		until = g.backoff.failedAt.Add(backoffMemory)
	}
	if n := len(g.clock.closings); n > 0 {
		if last := g.clock.closings[n-1].at.Add(clockMemory); last.After(until) {
			until = last
		}
	}
	// A server that kills each connection is not to find a new budget after it.
	if paid := time.Now().Add(g.retries.debt()); paid.After(until) {
		until = paid
	}
	left := time.Until(until)
	if left <= 0 {
		return false
	}
	if g.memory != nil {
		g.memory.Stop()
	}
	g.memory = time.AfterFunc(left, func() { g.t.forget(g) })
	return true
}
