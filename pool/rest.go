package pool

import (
	"slices"
	"time"

	"github.com/lastack/lastack/metrics"
)

// sweepGap is the least time between two looks at the connections that rest.
const sweepGap = 10 * time.Millisecond

// overdueLocked reports whether c has rested for longer than it may, or than it
// may be lent after. It goes by the wall clock, since a server counts the time
// that this machine was asleep.
func (c *conn) overdueLocked(now time.Time) bool {
	return c.where == resting && (passed(c.idleUntil, now) || passed(c.lendUntil, now))
}

// passed reports whether t, unless it is zero, has come by either clock: the wall
// clock may also have been set back.
func passed(t, now time.Time) bool {
	return !t.IsZero() && (!now.Before(t) || now.UnixNano() >= t.UnixNano())
}

// armLocked sees to it that the sweeper comes when something is due for c, which
// has just come to rest.
func (g *group) armLocked(c *conn) {
	due := c.dueLocked()
	if due.IsZero() || g.closed || g.sweeper != nil && !due.Before(g.sweepAt) {
		return
	}
	if g.sweeper != nil {
		g.sweeper.Stop() // if it is on its way already, it comes twice
	}
	g.sweepAt = due
	g.sweeper = time.AfterFunc(time.Until(due), g.sweep)
}

// rearmLocked does so for all connections that rest, after a sweep.
func (g *group) rearmLocked(now time.Time) {
	if g.sweeper != nil {
		g.sweeper.Stop() // it may be a later one than the one that came
		g.sweeper = nil
	}
	var next time.Time
	for c := range g.restingLocked {
		next = earlier(next, c.dueLocked())
	}
	if next.IsZero() {
		return
	}
	if g.t.cfg.idle > 0 {
		next = earlier(next, g.need.turn)
	}
	if soon := now.Add(sweepGap); next.Before(soon) {
		next = soon
	}
	g.sweepAt = next
	g.sweeper = time.AfterFunc(time.Until(next), g.sweep)
}

// hurryLocked has the sweeper come now if it is late for a connection: its timer
// may lag, or this machine was asleep.
func (g *group) hurryLocked(now time.Time) {
	if g.sweeper == nil {
		return
	}
	for c := range g.restingLocked {
		if passed(c.idleUntil, now) && !c.retired {
			g.sweepAt = now
			g.sweeper.Reset(0)
			return
		}
	}
}

// dueLocked returns when something is due for c, which rests; zero: never.
func (c *conn) dueLocked() time.Time {
	if c.retired {
		return earlier(c.ancient, c.watchUntil)
	}
	due := earlier(c.ancient, earlier(c.idleUntil, c.lendUntil))
	if !c.h2 && c.pingAfter > 0 {
		due = earlier(due, c.pinged.Add(c.pingAfter))
	}
	return due
}

// earlier returns the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// restingLocked calls yield with the connections that rest, those that have
// rested for the longest time first.
func (g *group) restingLocked(yield func(*conn) bool) {
	for _, c := range g.shared {
		if c.where == resting && !yield(c) {
			return
		}
	}
	for _, c := range g.retired {
		if !yield(c) {
			return
		}
	}
	for _, c := range g.resting {
		if !yield(c) {
			return
		}
	}
}

// sweep ends the connections that have rested or lived for too long, retires
// those that their servers are about to close, and pings those that are due for
// it.
func (g *group) sweep() {
	var leave, ping []*conn
	now := time.Now()
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return
	}
	due := slices.Collect(g.restingLocked)
	for _, c := range due {
		switch {
		case passed(c.ancient, now):
			g.leaveLocked(c, metrics.MaxAge)
			leave = append(leave, c)
		case c.retired && passed(c.watchUntil, now):
			if !g.outlivedLocked(c) {
				g.leaveLocked(c, metrics.IdleTimeout)
				leave = append(leave, c)
			}
		case c.retired:
		case passed(c.idleUntil, now) && g.kept <= g.t.cfg.minConns:
			c.idleUntil = now.Add(c.idle)
		case passed(c.idleUntil, now):
			if !c.h2 {
				g.host.Rested(now.Sub(c.pinged))
			}
			g.leaveLocked(c, metrics.IdleTimeout)
			leave = append(leave, c)
		case passed(c.lendUntil, now):
			g.retireLocked(c)
		case !c.h2 && c.pingAfter > 0 && now.Sub(c.pinged) >= c.pingAfter:
			// A ping is a request of the pool's own: the connection is not
			// lent meanwhile.
			g.wakeLocked(c)
			c.takeLocked()
			c.uses--
			c.pinging = true
			ping = append(ping, c)
		}
	}
	leave = append(leave, g.excessLocked(now)...)
	g.rearmLocked(now)
	g.serveLocked() // with those that may be lent after all
	g.dialLocked()  // in the place of those that have retired
	g.mu.Unlock()
	for _, c := range ping {
		go c.ping()
	}
	for _, c := range leave {
		if c.reason == metrics.IdleTimeout && g.t.AskToClose && !c.h2 && !c.tls && !c.retired {
			go c.askToClose()
			continue
		}
		c.close()
	}
}

// surplusLocked has c, which has just come to rest, leave if more rest than
// may, as http.Transport has it, and returns it for the caller to close. Where
// none may rest, its dial is one that nobody has waited for in the end.
func (g *group) surplusLocked(c *conn) *conn {
	limit := g.t.cfg.maxIdle
	if limit == 0 && !g.t.cfg.closeAlways {
		return nil
	}
	if g.atRest-len(g.retired) <= limit {
		return nil
	}
	g.leaveLocked(c, metrics.MaxIdle)
	return c
}

// shed closes a connection that the group has no place for, or nil, and sees
// to the limit for all groups together.
func (g *group) shed(surplus *conn) {
	if surplus != nil {
		surplus.close()
	}
	if limit := g.t.cfg.maxIdleAll; limit > 0 && int(g.t.resting.Load()) > limit {
		g.t.shedOldest()
	}
}

// shedOldest has the connection leave that has rested for the longest time in
// any group. It looks at one group at a time, so that it may be off by what
// happens meanwhile.
func (t *Transport) shedOldest() {
	var (
		oldest *conn
		since  time.Time
	)
	for _, g := range t.allGroups() {
		g.mu.Lock()
		for c := range g.restingLocked {
			if oldest == nil || c.rested.Before(since) {
				oldest, since = c, c.rested
			}
		}
		g.mu.Unlock()
	}
	if oldest == nil {
		return
	}
	g := oldest.g
	g.mu.Lock()
	still := oldest.where == resting
	if still {
		g.leaveLocked(oldest, metrics.MaxIdle)
	}
	g.mu.Unlock()
	if still {
		oldest.close()
	}
}

// drain has the connections leave that rest, and those that are busy as they
// come to rest, unless a request comes first. The caller closes what it returns.
func (g *group) drain(reason string) []*conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.draining = true
	leave := slices.Collect(g.restingLocked)
	for _, c := range leave {
		g.leaveLocked(c, reason)
	}
	return leave
}

// distrust closes the resting connections that no request has used: the server
// has hung up on the first request of one like them. A server that shuts down
// may leave such connections open and do so with every one (net/http's does).
func (g *group) distrust() {
	g.mu.Lock()
	var leave []*conn
	for c := range g.restingLocked {
		if c.uses == 0 {
			leave = append(leave, c)
		}
	}
	for _, c := range leave {
		g.leaveLocked(c, metrics.Stale)
	}
	g.mu.Unlock()
	for _, c := range leave {
		c.close()
	}
}

// shutdown ends the group: those who wait get ErrClosed, what rests leaves, and
// what is busy leaves when it is done.
func (g *group) shutdown() {
	g.mu.Lock()
	g.closed = true
	err := &Error{Op: "lease", Key: g.key, Err: ErrClosed}
	g.failLocked(err)
	for len(g.warmings) > 0 {
		g.warmedLocked(g.warmings[0], err)
	}
	if g.sweeper != nil {
		g.sweeper.Stop()
		g.sweeper = nil
	}
	g.backoff.stop()
	if g.memory != nil {
		g.memory.Stop()
	}
	g.mu.Unlock()
	for _, c := range g.drain(metrics.Shutdown) {
		c.close()
	}
}
