package pool

import (
	"time"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// onState takes in a change of the ClientConn's state: the connection is closed;
// or, on HTTP/2, a request is over. Calls come on any goroutine, may be late,
// and may be missing: the hook looks away while a call of it is about to return.
// So it compares and never counts, and tells of the end of a request only what
// returned has not: that net/http is done with it, and its caller is not.
func (c *conn) onState() {
	err := c.cc.Err()
	if err == nil && !c.h2 {
		return
	}
	why := ""
	if err != nil {
		why = c.reasonHTTP2()
	}
	g := c.g
	g.mu.Lock()
	if c.where == coming || c.where == gone {
		g.mu.Unlock()
		return
	}
	if err != nil {
		if c.pending.Load() > 0 {
			g.mu.Unlock() // whoever was given the slot finds out, and comes back here
			return
		}
		if c.where == resting && reasonOf(err, false) == metrics.ServerClose {
			c.closedAtRestLocked()
		}
		done := c.streams
		if c.pinging {
			done = 0
			if c.reason == "" && reasonOf(err, true) == metrics.Error {
				c.reason = metrics.Timeout // nobody answered the ping
			}
		}
		if c.reason == "" && (done > 0 || why == metrics.Timeout || time.Since(c.rested) < time.Second) {
			if c.reason = why; why == metrics.Timeout {
				c.tell(linger.Broken)
			}
		}
		c.streams = 0
		leased := c.leased
		g.removeLocked(c)
		g.mu.Unlock()
		c.left(err, done, leased)
		return
	}
	if over := c.streams - c.underwayLocked(); over > 0 {
		c.early += over
		c.returnLocked(over)
		return
	}
	g.serveLocked()
	g.mu.Unlock()
}

// underwayLocked returns how many HTTP/2 requests net/http has, or is about to
// get: at least as many as there are. One that waits there for a stream is not
// in flight, but in its call; most of those in a call are both.
func (c *conn) underwayLocked() int {
	pending, calls := c.pending.Load(), c.calls.Load()
	inFlight := c.cc.InFlight()
	return int(pending+max(calls, c.calls.Load())) + inFlight // it moves from one to the next meanwhile
}

// returned takes the connection back from a request whose caller is done with
// it. On HTTP/2 net/http may not be: the stream of a cancelled request counts
// until the server has answered a PING, which one that hangs never does.
//
// HTTP/1.1's leaves leased zero: the connection knows.
//
// If net/http does not have an HTTP/1.1 connection free, that is closed, or
// about to be, and onState hears of it.
func (c *conn) returned(leased time.Time) {
	if c.h2 {
		c.g.host.Return(time.Now(), leased)
	}
	if !c.h2 && c.cc.Available() != 1 {
		return
	}
	c.g.mu.Lock()
	if c.where == gone || c.streams+c.early == 0 {
		c.g.mu.Unlock()
		return
	}
	if c.early > 0 {
		c.early--
		c.g.mu.Unlock()
		return
	}
	c.returnLocked(1)
}

// returnLocked takes the connection back from as many requests. It unlocks the
// group.
func (c *conn) returnLocked(done int) {
	g := c.g
	c.streams -= done
	ping, leased, now := c.pinging, c.leased, time.Now()
	if c.streams == 0 {
		c.tell(c.restFact())
	}
	surplus := g.returnLocked(c, now)
	g.mu.Unlock()
	for range done {
		if ping {
			break
		}
		if !c.h2 {
			g.host.Return(now, leased)
		}
		if g.t.observes(Returned) {
			g.t.emit(c.event(Returned))
		}
	}
	g.shed(surplus)
}

// left is called once, when the connection is closed and forgotten: done requests
// were under way.
func (c *conn) left(err error, done int, leased time.Time) {
	if x := c.current.Load(); x != nil {
		x.closed()
	}
	if c.settler != nil {
		c.settler.Stop()
	}
	reason := c.reason
	if reason == "" {
		reason = reasonOf(err, done > 0)
	}
	if upgraded(err) {
		// It belongs to the caller now, who closes it.
		c.life.Retire(metrics.Upgraded)
		c.tell(linger.Unsure)
		if c.parted.Load() {
			c.tell(linger.SaidGoodbye) // already
		}
	} else {
		c.life.Leave(reason)
	}
	c.g.dialMore() // there is room for another, and it is known why
	if c.nc == nil {
		c.life.Ended(linger.Unknown, false) // as far as anybody can see
	}
	if done > 0 && !c.h2 {
		c.g.host.Return(time.Now(), leased)
	}
	if c.g.t.observes(Leaving) {
		for range done {
			c.g.t.emit(c.event(Returned))
		}
		ev := c.event(Leaving)
		ev.Reason = reason
		c.g.t.emit(ev)
	}
	if c.nc == nil {
		c.emitEnded(linger.Unknown)
	}
	if c.nc == nil || upgraded(err) {
		c.g.t.exit()
	} else {
		// net/http may only be about to close it.
		c.nc.OnClosed(c.g.t.exit)
	}
	c.g.t.forget(c.g)
}

// close closes a connection that is leaving and has no request.
func (c *conn) close() {
	c.life.Leave(c.reason)
	c.cc.Close()
}
