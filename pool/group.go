package pool

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/lastack/lastack/metrics"
)

// A group is the connections of one key, and the requests that wait for one.
//
// There is one way to a connection: take a slot of one that has any, else have
// one dialled, and wait for whichever comes first: a slot, or the dial.
type group struct {
	t      *Transport
	key    Key
	proxy  *url.URL // of the key; or nil
	target string   // what is dialled
	host   *metrics.Host
	bodies *bodies // apart from what every lease moves

	mu        sync.Mutex // taken after t.mu, or before that of the ledger; nothing is called out to under it
	dead      bool       // t has forgotten it
	closed    bool       // after Shutdown
	draining  bool       // its idle connections were closed, and no request has come since
	resting   []*conn    // that rest, HTTP/1.1, in the order in which they came to rest
	retired   []*conn    // that rest and are not lent: their server is about to close them
	shared    []*conn    // HTTP/2, resting or busy
	live      map[*conn]struct{}
	kept      int        // of live, those that may be lent, now or later
	atRest    int        // of live, those that rest
	warmings  []*warming // for which Warm waits
	dials     []*dial    // in progress, the oldest first
	hangs     bool       // somebody will look whether the oldest hang
	owned     int        // those among them that a waiter relies on
	isH2      bool       // the last connection dialled speaks HTTP/2
	streams   int        // how many requests an HTTP/2 connection carries at a time
	waiters   waiterQueue
	began     uint64      // waiters so far
	sweeper   *time.Timer // nil: not armed
	sweepAt   time.Time
	backoff   backoff
	exhausted time.Time         // since when there is no local port, and no connection; or zero
	clock     clock             // the server's
	keepAlive metrics.KeepAlive // what the ledger was told of it
	need      need
	retries   budget
	memory    *time.Timer // for forgetting the group; or nil
}

func newGroup(t *Transport, k Key, proxy *url.URL) *group {
	g := &group{t: t, key: k, proxy: proxy, target: k.Address, live: make(map[*conn]struct{}), streams: guessedStreams}
	g.bodies = &bodies{group: g}
	// Where it is known before the first dial, or there is to be one connection if so.
	g.isH2 = !k.HTTP1 && (t.cfg.h2c && k.Scheme == "http" ||
		t.cfg.oneHTTP2 && k.Scheme == "https" && t.cfg.any.Protocols.HTTP2())
	name := k.host()
	if g.target == "" {
		g.target = name // net/http dials the proxy and does not look at it
		if _, _, err := net.SplitHostPort(name); err != nil {
			g.target = net.JoinHostPort(name, "80")
		}
	}
	g.host = t.cfg.meter.Host(name)
	return g
}

// errGroupDead is for the caller to look the group up again.
var errGroupDead = errors.New("group is dead")

// A lease is a connection with a slot reserved for one request.
type lease struct {
	c      *conn
	first  bool      // it was given to no request before
	reused bool      // a request has succeeded on it before, or it had come to rest
	dead   bool      // its slot could not be reserved: RoundTrip will say why
	at     time.Time // when it was given
	idle   time.Duration
	still  time.Duration // since when it was not even pinged
	rested bool          // it was resting
	last   bool          // the request is the connection's last

	// refused is not nil if the server has said GOAWAY on a connection before
	// its first request.
	refused error
}

// lease returns a connection with a slot reserved for the request, which is sent under ctx.
func (g *group) lease(ctx context.Context, req *http.Request) (lease, error) {
	var waits time.Time // since when it waits, or has waited
	l, err := g.leaseNow(ctx, req, &waits)
	if !waits.IsZero() {
		g.host.Waited(time.Since(waits), err != nil && ctx.Err() != nil, err)
	}
	return l, err
}

// leaseNow does so. If that takes a wait it says since when.
func (g *group) leaseNow(ctx context.Context, req *http.Request, waits *time.Time) (lease, error) {
	for {
		l, w, err := g.take(ctx, req)
		if err != nil {
			return lease{}, err
		}
		if w != nil {
			since := time.Now()
			if waits.IsZero() {
				*waits = since
				g.host.Wait()
			}
			l, err = g.await(ctx, w)
			if g.t.observes(Waited) {
				g.t.emit(Event{Kind: Waited, Key: g.key, Took: time.Since(since), Err: err})
			}
			if err != nil {
				return lease{}, err
			}
		}
		if l.rested && l.c.stale() {
			l.c.discard(metrics.Stale)
			continue
		}
		if l.rested && !l.c.h2 {
			g.host.Rested(l.still)
		}
		// Nobody waited for a connection that was lent from its rest.
		l.reused = !l.c.fresh.Load() || l.rested && w == nil
		err = l.c.reserve()
		if err == errFull || err != nil && l.reused {
			continue // or it died at rest; nothing was written to it
		}
		g.host.Lease(l.at, !l.first)
		l.c.life.Leased(l.at)
		if err != nil {
			// A new connection that cannot be reserved goes on to RoundTrip,
			// which says why, or is refused. Trying again here could go on for ever.
			l.dead = true
			g.host.Return(l.at, time.Time{})
			if err == errGoAway {
				l.refused = err
			}
		}
		if err == nil && g.t.observes(Leased) {
			ev := l.c.event(Leased)
			ev.Reused = !l.first
			g.t.emit(ev)
		}
		return l, nil
	}
}

// take takes a slot if there is one, else it queues up and sees to a dial.
func (g *group) take(ctx context.Context, req *http.Request) (lease, *waiter, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.dead {
		return lease{}, nil, errGroupDead
	}
	if g.waiters.len == 0 {
		now := time.Now()
		if c := g.pickLocked(now); c != nil {
			return g.leaseLocked(c, now), nil, nil
		}
	}
	g.began++
	w := &waiter{req: req, ctx: ctx, seq: g.began, ready: make(chan result, 1)}
	g.waiters.push(w)
	g.dialLocked()
	if m := g.t.cfg.maxWaiters; m > 0 && w.dial == nil && g.waiters.len-g.owned > m {
		g.waiters.remove(w)
		return lease{}, nil, &Error{Op: "lease", Key: g.key, Err: ErrBusy}
	}
	return lease{}, w, nil
}

// full reports whether no further dial may begin.
func (g *group) full() bool {
	return len(g.dials) >= g.t.cfg.maxDials || g.crammed()
}

// crammed reports whether there may be no more connections than there are, or
// are being dialled.
func (g *group) crammed() bool {
	limit := g.t.cfg.maxConns
	return limit > 0 && len(g.live)+len(g.dials) >= limit
}

// pickLocked returns a connection with a free slot, or nil.
func (g *group) pickLocked(now time.Time) *conn {
	for i := 0; i < len(g.shared); {
		c := g.shared[i] // the oldest first, so that the others come to rest when load falls
		if c.slotsLocked() > 0 && !c.overdueLocked(now) {
			return c
		}
		if c.deadLocked() {
			g.leaveLocked(c, metrics.GoAway) // takes it off the list
			go c.close()                     // not under the lock; it ends with the write of a goodbye
			continue
		}
		i++
	}
	for i := range g.resting {
		if g.t.Order == LIFO {
			i = len(g.resting) - 1 - i
		}
		if c := g.resting[i]; c.slotsLocked() > 0 && !c.overdueLocked(now) {
			return c
		}
	}
	g.hurryLocked(now)
	return nil
}

// leaseLocked gives a slot of c to a request.
func (g *group) leaseLocked(c *conn, now time.Time) lease {
	l := lease{c: c, at: now}
	if !c.h2 {
		c.leased = now
	}
	if c.where == resting {
		l.rested = true
		l.idle = now.Sub(c.rested)
		if l.still = now.Sub(c.pinged); !c.h2 {
			g.clock.lent(l.still, now)
		}
		g.wakeLocked(c)
	}
	g.draining = false
	c.takeLocked()
	l.first = c.uses == 1
	if reason, last := c.lastLocked(now); last {
		l.last = true
		g.leaveLocked(c, reason)
	}
	g.replaceLocked(c, now)
	return l
}

// addLocked makes c, which a dial has brought, a connection of the group. It
// rests: what comes next is to serve the waiters.
func (g *group) addLocked(c *conn) {
	g.live[c] = struct{}{}
	g.kept++
	g.need.grew(g.kept)
	if c.h2 {
		g.shared = append(g.shared, c)
	}
	g.restLocked(c, time.Now())
}

// restLocked puts c, which has no request, to rest.
func (g *group) restLocked(c *conn, now time.Time) {
	c.where = resting
	c.pinged = now
	if c.pinging {
		c.pinging = false // a ping was no use: it rests as long as it did
	} else {
		c.rested = c.pinged
	}
	if c.idle > 0 {
		c.idleUntil = c.rested.Add(c.idle)
	}
	c.timeRestLocked()
	if !c.h2 {
		g.insertLocked(c)
	}
	g.need.busy--
	g.atRest++
	g.t.resting.Add(1)
	c.life.Rest()
}

// insertLocked puts c among those that rest, in the order of their time. It is
// most often the last.
func (g *group) insertLocked(c *conn) {
	g.resting = append(g.resting, c)
	for i := len(g.resting) - 1; i > 0 && c.rested.Before(g.resting[i-1].rested); i-- {
		g.resting[i-1], g.resting[i] = c, g.resting[i-1]
	}
}

// wakeLocked ends c's rest.
func (g *group) wakeLocked(c *conn) {
	c.where = busy
	switch {
	case c.retired:
		g.retired = remove(g.retired, c)
	case !c.h2:
		g.resting = remove(g.resting, c)
	}
	g.need.woke()
	g.atRest--
	g.t.resting.Add(-1)
	c.life.Busy()
}

// leaveLocked has c lent no more. When it has no request any more it is to be closed.
func (g *group) leaveLocked(c *conn, reason string) {
	if c.where >= leaving {
		return
	}
	if c.where == resting {
		g.wakeLocked(c)
	}
	if c.h2 {
		g.shared = remove(g.shared, c)
	}
	if !c.retired {
		g.kept--
	}
	g.need.busy--
	c.where = leaving
	c.reason = reason
	if reason != "" {
		c.life.Retire(reason)
	}
}

// removeLocked forgets c, which is closed. There may be room for another now:
// when the accounts know why c has left, dialMore is to be called.
func (g *group) removeLocked(c *conn) {
	reason := c.reason
	g.leaveLocked(c, reason)
	c.where = gone
	delete(g.live, c)
	g.backoff.gone(c)
}

// returnLocked takes c back, which has fewer requests than before. It returns
// a connection that the caller must close after Unlock, or nil.
func (g *group) returnLocked(c *conn, now time.Time) (surplus *conn) {
	if c.streams > 0 {
		g.serveLocked()
		return nil
	}
	if c.where == leaving {
		return c
	}
	switch {
	case g.closed:
		g.leaveLocked(c, metrics.Shutdown)
		return c
	case g.draining && g.waiters.len == 0:
		g.leaveLocked(c, metrics.CloseIdle)
		return c
	}
	if c.where == busy {
		g.restLocked(c, now)
	}
	g.serveLocked()
	if c.where == resting {
		g.armLocked(c)
		return g.surplusLocked(c)
	}
	return nil
}

// serveLocked gives slots to those who wait.
func (g *group) serveLocked() {
	for g.waiters.len > 0 {
		now := time.Now()
		c := g.pickLocked(now)
		if c == nil {
			return
		}
		w := g.waiters.pop()
		g.disownLocked(w)
		w.ready <- result{lease: g.leaseLocked(c, now)}
	}
}

// remove takes c off the list; it is most often the last.
func remove(list []*conn, c *conn) []*conn {
	if n := len(list); n > 0 && list[n-1] == c {
		list[n-1] = nil
		return list[:n-1]
	}
	if i := slices.Index(list, c); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}
