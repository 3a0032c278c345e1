package pool

import (
	"context"
	"slices"
	"time"

	"github.com/lastack/lastack/metrics"
)

// A dial is in progress for a waiter, and goes on when that has gone.
type dial struct {
	owner    *waiter // or nil, when nobody may rely on it any more: it may hang
	upTo     uint64  // waiters there had been when it began
	began    time.Time
	why      string   // for the accounts
	replaces *conn    // or nil
	warms    *warming // or nil

	cancel    context.CancelFunc
	abandoned bool // the group counts it no more
}

// dialLocked begins the dials that the waiters need and the limits allow.
func (g *group) dialLocked() {
	g.abandonHungLocked()
	w := g.waiters.head
	for !g.full() && g.owned < g.wantDialsLocked() && !g.heldLocked(false) {
		for w != nil && w.dial != nil {
			w = w.next
		}
		if w == nil || !g.t.enter() {
			break
		}
		d := &dial{owner: w, upTo: g.began, why: metrics.AllBusy}
		w.dial = d
		g.owned++
		g.beginDialLocked(d, w.ctx)
	}
	g.makeRoomLocked()
	g.dialSparesLocked()
}

// wantDialsLocked returns how many dials should be in progress: one for each
// waiter, but where connections are shared as few as will do.
func (g *group) wantDialsLocked() int {
	if !g.isH2 {
		return g.waiters.len
	}
	if g.t.cfg.oneHTTP2 {
		if len(g.shared) > 0 {
			return 0
		}
		return min(1, g.waiters.len)
	}
	per := g.streams
	if limit := g.t.cfg.maxRequests; limit > 0 {
		per = min(per, limit-limit/5)
	}
	for _, c := range g.shared {
		if per > 1 && !c.settled && time.Since(c.born) < settingsWait {
			return 0 // it will say soon how many it takes
		}
	}
	return (g.waiters.len + per - 1) / per
}

// dialMore looks again whether those who wait need a dial.
func (g *group) dialMore() {
	g.mu.Lock()
	g.serveLocked()
	g.dialLocked()
	g.mu.Unlock()
}

// beginDialLocked dials for the owner of d, and so for whoever comes first.
// t.enter has been called for it.
func (g *group) beginDialLocked(d *dial, values context.Context) {
	d.began = time.Now()
	g.backoff.began(d.began)
	g.dials = append(g.dials, d)
	var ctx context.Context
	ctx, d.cancel = context.WithCancel(g.t.cfg.life)
	go func() {
		defer d.cancel()
		c, err := g.dial(ctx, values, d.why)
		if err != nil {
			g.dialFailed(d, err)
			g.t.exit()
			g.t.forget(g)
			return
		}
		g.dialed(d, c)
	}()
}

// hungAfter is how long a dial that nobody relies on any more may stand in the
// way of one that a request waits for.
const hungAfter = time.Second

// abandonHungLocked gives up dials that hang, if the limits are used up by them.
// Their requests have given them up before.
func (g *group) abandonHungLocked() {
	var next time.Time
	for i := 0; i < len(g.dials) && g.full() && g.owned < g.wantDialsLocked(); {
		d := g.dials[i]
		hung := d.began.Add(hungAfter)
		switch {
		case d.owner != nil, d.warms != nil:
			i++
		case time.Now().Before(hung):
			next = earlier(next, hung)
			i++
		default:
			d.abandoned = true
			d.cancel()
			g.dials = slices.Delete(g.dials, i, i+1)
		}
	}
	if !next.IsZero() && !g.hangs {
		g.hangs = true
		time.AfterFunc(time.Until(next), func() {
			g.mu.Lock()
			g.hangs = false
			g.dialLocked()
			g.mu.Unlock()
		})
	}
}

// endDialLocked takes d off the list.
func (g *group) endDialLocked(d *dial) {
	if i := slices.Index(g.dials, d); i >= 0 {
		g.dials = slices.Delete(g.dials, i, i+1)
	}
}

// disownLocked lets w's dial go on for nobody in particular.
func (g *group) disownLocked(w *waiter) {
	if w.dial != nil {
		w.dial.owner = nil
		w.dial = nil
		g.owned--
	}
}

// dialed takes in a connection that a dial has brought. It goes to the waiter
// that it was dialled for; if that has gone, or another has waited for longer
// and has no dial of its own in progress, to the one that is first.
func (g *group) dialed(d *dial, c *conn) {
	g.mu.Lock()
	g.endDialLocked(d)
	tooMany := d.abandoned && g.crammed()
	w := d.owner
	if w != nil {
		g.disownLocked(w)
		if g.waiters.head.dial != nil {
			g.waiters.toFront(w)
		}
	}
	g.backoff.over()
	g.exhausted = time.Time{}
	g.isH2 = c.h2
	g.addLocked(c)
	old := g.replacedLocked(d.replaces)
	surplus := c
	if tooMany || w == nil && g.t.cfg.closeAlways {
		// It comes after all. Or a connection is for one request, and that has gone.
		g.leaveLocked(c, metrics.MaxIdle)
	} else {
		surplus = g.returnLocked(c, time.Now())
	}
	if d.warms != nil {
		d.warms.running--
		if d.warms.todo+d.warms.running == 0 {
			g.warmedLocked(d.warms, nil)
		}
	}
	g.dialLocked()
	g.mu.Unlock()
	if old != nil {
		old.close()
	}
	g.shed(surplus)
	c.onState() // it may have died before its hook was set
}

// dialFailed gives the error to the waiter that the dial was for, unless that
// may wait for a local port. If there is nothing else to wait for, neither
// another dial nor, where connections are limited, one of them, those get it too
// who were there when it began.
func (g *group) dialFailed(d *dial, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.endDialLocked(d)
	now := time.Now()
	wait := g.waitsForPortLocked(err, d.began, now)
	if !d.abandoned {
		g.backoff.failed(d.began, now, err)
	}
	if d.replaces != nil {
		d.replaces.replacing = false
	}
	err = g.explainDial(err)
	owner := d.owner
	if owner != nil {
		g.disownLocked(owner)
	}
	nothing := owner != nil && len(g.dials) == 0 && (g.kept == 0 || g.t.cfg.maxConns == 0)
	for w := g.waiters.head; !wait && w != nil && w.seq <= d.upTo; {
		next := w.next
		if w == owner || nothing {
			g.waiters.remove(w)
			w.ready <- result{err: err}
		}
		w = next
	}
	if d.warms != nil {
		d.warms.running--
		g.warmedLocked(d.warms, err)
	}
	g.dialLocked()
}
