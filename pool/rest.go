package pool

import (
	"time"

	"github.com/lastack/lastack/metrics"
)

// overdueLocked reports whether c has rested for longer than it may. It goes by
// the wall clock, since a server counts the time that this machine was asleep.
func (c *conn) overdueLocked(now time.Time) bool {
	idle := c.g.t.cfg.idle
	return idle > 0 && c.where == resting && now.UnixNano()-c.rested.UnixNano() >= int64(idle)
}

// armLocked sees to it that the sweeper comes.
func (g *group) armLocked() {
	if g.sweeper == nil {
		if d, ok := g.nextSweepLocked(); ok {
			g.sweeper = time.AfterFunc(d, g.sweep)
		}
	}
}

// nextSweepLocked returns how long it is until a resting connection is due for
// something, and false if none ever is.
func (g *group) nextSweepLocked() (time.Duration, bool) {
	var next time.Time
	first := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	cfg := &g.t.cfg
	for c := range g.restingLocked {
		if cfg.idle > 0 {
			first(c.rested.Add(cfg.idle))
		}
		if !c.ancient.IsZero() {
			first(c.ancient)
		}
		if !c.h2 && g.t.Ping.pingsHTTP1() {
			first(c.pinged.Add(g.t.Ping.Interval))
		}
		if cfg.maxAge == 0 && !g.t.Ping.pingsHTTP1() && !c.h2 {
			break // the first has rested for the longest time
		}
	}
	if next.IsZero() {
		return 0, false
	}
	return max(0, time.Until(next)), true
}

// restingLocked calls yield with the connections that rest, those that have
// rested for the longest time first.
func (g *group) restingLocked(yield func(*conn) bool) {
	for _, c := range g.shared {
		if c.where == resting && !yield(c) {
			return
		}
	}
	for _, c := range g.resting {
		if !yield(c) {
			return
		}
	}
}

// sweep ends the connections that have rested or lived for too long, and pings
// those that are due for it.
func (g *group) sweep() {
	var leave, ping []*conn
	now := time.Now()
	g.mu.Lock()
	for c := range g.restingLocked {
		switch {
		case !c.ancient.IsZero() && !now.Before(c.ancient):
			c.reason = metrics.MaxAge
			leave = append(leave, c)
		case c.overdueLocked(now):
			c.reason = metrics.IdleTimeout
			leave = append(leave, c)
		case !c.h2 && g.t.Ping.pingsHTTP1() && now.Sub(c.pinged) >= g.t.Ping.Interval:
			ping = append(ping, c)
		}
	}
	for _, c := range leave {
		g.leaveLocked(c, c.reason)
	}
	for _, c := range ping {
		// A ping is a request of the pool's own: the connection is not lent
		// meanwhile.
		g.wakeLocked(c)
		c.takeLocked()
		c.uses--
		c.pinging = true
	}
	g.sweeper = nil
	g.armLocked()
	g.mu.Unlock()
	for _, c := range ping {
		go c.ping()
	}
	for _, c := range leave {
		if c.reason == metrics.IdleTimeout && g.t.AskToClose && !c.h2 && !c.tls {
			go c.askToClose()
			continue
		}
		c.close()
	}
}

// surplusLocked has the connection leave that has rested for the longest time,
// if more rest than may, and returns it for the caller to close. Where none may
// rest, that is one whose dial nobody has waited for in the end.
func (g *group) surplusLocked() *conn {
	limit := g.t.cfg.maxIdle
	if limit == 0 && !g.t.cfg.closeAlways {
		return nil
	}
	n := 0
	var oldest *conn
	for c := range g.restingLocked {
		if n++; oldest == nil || c.rested.Before(oldest.rested) {
			oldest = c
		}
	}
	if n <= limit {
		return nil
	}
	g.leaveLocked(oldest, metrics.MaxIdle)
	return oldest
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

// retireResting ends the connections that rest.
func (g *group) retireResting(reason string) {
	var leave []*conn
	g.mu.Lock()
	for c := range g.restingLocked {
		leave = append(leave, c)
	}
	for _, c := range leave {
		g.leaveLocked(c, reason)
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
	g.failLocked(&Error{Op: "lease", Key: g.key, Err: ErrClosed})
	g.mu.Unlock()
	g.retireResting(metrics.Shutdown)
	g.mu.Lock()
	if g.sweeper != nil {
		g.sweeper.Stop()
		g.sweeper = nil
	}
	g.mu.Unlock()
}
