package pool

import (
	"context"
	"slices"
	"time"

	"github.com/lastack/lastack/metrics"
)

// Some connections are dialled before a request needs them: in the place of one
// that grows old, to keep as many as Transport.MinConnsPerHost, and where
// HTTP/2 connections are nearly full. Limits hold for them as well, and nobody
// waits for them.

// dialSpareLocked begins a dial for no request in particular, in the place of
// old if that is not nil. It reports false if that may not be now.
func (g *group) dialSpareLocked(old *conn) bool {
	if g.full() || g.heldLocked(true) || !g.t.enter() {
		return false
	}
	d := &dial{upTo: g.began, why: metrics.Spare, replaces: old}
	if old != nil {
		d.why = metrics.MaxAge
	}
	g.beginDialLocked(d, context.Background())
	return true
}

// dialSparesLocked begins the dials that Warm and MinConnsPerHost want.
func (g *group) dialSparesLocked() {
	for _, w := range slices.Clone(g.warmings) {
		for w.todo > 0 && !g.full() && !g.heldLocked(false) && g.t.enter() {
			w.todo--
			w.running++
			g.beginDialLocked(&dial{upTo: g.began, why: metrics.Warm, warms: w}, w.ctx)
		}
		if w.running == 0 && g.crammed() {
			g.warmedLocked(w, nil) // there may be no more
		}
	}
	cfg := &g.t.cfg
	for g.kept+len(g.dials) < cfg.minConns && !g.closed && !g.draining {
		if cfg.maxIdleAll > 0 && int(g.t.resting.Load()) >= cfg.maxIdleAll || !g.dialSpareLocked(nil) {
			return
		}
	}
}

// replaceLocked has a connection dialled in the place of c, which was just
// lent, if c is old, or so that those beside it do not fill up.
func (g *group) replaceLocked(c *conn, now time.Time) {
	switch {
	case g.closed, g.t.cfg.closeAlways: // nothing may rest
	case !c.oldAt.IsZero() && now.After(c.oldAt) && !c.replacing:
		c.replacing = g.dialSpareLocked(c)
	case c.h2 && !g.t.cfg.oneHTTP2 && len(g.dials) == 0 && g.crowdedLocked(c):
		g.dialSpareLocked(nil)
	}
}

// replacedLocked says that another has come in the place of c, which may be
// nil. It returns c if the caller must close it.
func (g *group) replacedLocked(c *conn) *conn {
	if c == nil || c.where >= leaving {
		return nil
	}
	c.replaced = true
	switch {
	case c.h2:
		g.leaveLocked(c, metrics.MaxAge)
		if c.streams == 0 {
			return c
		}
	case c.where == resting && !c.retired:
		// The next request is to take it, and to say goodbye.
		g.resting = remove(g.resting, c)
		if g.t.Order == FIFO {
			g.resting = append([]*conn{c}, g.resting...)
		} else {
			g.resting = append(g.resting, c)
		}
	}
	return nil
}

// crowdedLocked reports whether the last of the group's HTTP/2 connections that
// has room, c, has little of it.
func (g *group) crowdedLocked(c *conn) bool {
	reserve := g.streams / 10
	if reserve == 0 || !c.settled || g.streams-c.streams > reserve {
		return false
	}
	for _, other := range g.shared {
		if other != c && other.streams < g.streams {
			return false
		}
	}
	return true
}
