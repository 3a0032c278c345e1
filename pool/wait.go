package pool

import (
	"context"
	"errors"
	"net/url"
	"time"
)

// A waiter is a request that waits for a connection. It is in its group's
// queue until it is given a result, or gives up.
type waiter struct {
	ctx   context.Context // of the request; a dial for it takes its values
	proxy *url.URL
	seq   uint64      // its number among the group's waiters
	ready chan result // holds one

	prev, next *waiter
	queued     bool
	dialing    bool // a dial began for it
}

// A result is what a waiter is given: a lease whose slot is not reserved yet, or an error.
type result struct {
	lease lease
	err   error
}

// A waiterQueue is first in, first out. A waiter leaves it from anywhere.
type waiterQueue struct {
	head, tail *waiter
	len        int
}

func (q *waiterQueue) push(w *waiter) {
	w.queued = true
	w.prev = q.tail
	if q.tail != nil {
		q.tail.next = w
	} else {
		q.head = w
	}
	q.tail = w
	q.len++
}

func (q *waiterQueue) pop() *waiter {
	w := q.head
	q.remove(w)
	return w
}

// remove takes w out. It reports false if w is not in the queue any more.
func (q *waiterQueue) remove(w *waiter) bool {
	if !w.queued {
		return false
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		q.head = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		q.tail = w.prev
	}
	w.prev, w.next, w.queued = nil, nil, false
	q.len--
	return true
}

// await waits for the waiter's result.
func (g *group) await(ctx context.Context, w *waiter) (lease, error) {
	select {
	case r := <-w.ready:
		return r.lease, r.err
	case <-ctx.Done():
	}
	g.mu.Lock()
	given := !g.waiters.remove(w)
	g.mu.Unlock()
	if given {
		// The result came at the same time. Nobody else may lose by that.
		if r := <-w.ready; r.err == nil {
			r.lease.c.giveBack()
		}
	}
	err := context.Cause(ctx)
	if err == errCanceled {
		err = errCanceledWaiting
	}
	return lease{}, err
}

// The errors of a request whose Cancel channel was closed, in net/http's words.
var (
	errCanceled        = errors.New("net/http: request canceled")
	errCanceledWaiting = errors.New("net/http: request canceled while waiting for connection")
)

// giveBack gives back a slot that was given and not reserved.
func (c *conn) giveBack() {
	g := c.g
	g.mu.Lock()
	c.pending.Add(-1)
	c.streams--
	c.uses--
	if c.streams == 0 {
		c.tell(c.restFact())
	}
	surplus := g.returnLocked(c)
	g.mu.Unlock()
	g.shed(surplus)
	c.onState() // what it was called for while the slot was pending, it has ignored
}

// dialLocked begins the dials that the waiters need and the limits allow.
func (g *group) dialLocked() {
	for !g.full() && g.dialing < g.wantDialsLocked() {
		w := g.waiters.head
		for w.dialing && w.next != nil {
			w = w.next // its own dial is still for it; the next one's trace has none
		}
		if !g.beginDialLocked(w) {
			return
		}
	}
}

// wantDialsLocked returns how many dials should be in progress: one for each
// waiter, but where connections are shared as few as will do.
func (g *group) wantDialsLocked() int {
	if !g.isH2 {
		return g.waiters.len
	}
	for _, c := range g.shared {
		if !c.settled && time.Since(c.born) < settingsWait {
			return 0 // it will say soon how many it takes
		}
	}
	return (g.waiters.len + guessedStreams - 1) / guessedStreams
}

// dialMore looks again whether those who wait need a dial.
func (g *group) dialMore() {
	g.mu.Lock()
	g.serveLocked()
	g.dialLocked()
	g.mu.Unlock()
}

// beginDialLocked dials for w, and so for whoever comes first. It reports false
// after Shutdown.
func (g *group) beginDialLocked(w *waiter) bool {
	if !g.t.enter() {
		return false
	}
	w.dialing = true
	g.dialing++
	upTo := g.began
	go func() {
		c, err := g.dial(w.ctx, w.proxy)
		if err != nil {
			g.dialFailed(err, upTo)
			g.t.exit()
			g.t.forget(g)
			return
		}
		g.dialed(c)
	}()
	return true
}

// dialed takes in a connection that a dial has brought.
func (g *group) dialed(c *conn) {
	g.mu.Lock()
	g.dialing--
	g.isH2 = c.h2
	g.addLocked(c)
	surplus := g.returnLocked(c)
	g.dialLocked()
	g.mu.Unlock()
	g.t.log("connection born", c)
	g.shed(surplus)
	c.onState() // it may have died before its hook was set
}

// dialFailed gives the error to those who waited for the dial that failed: the
// waiters that were there when it began, but for as many as other dials are in
// progress for.
func (g *group) dialFailed(err error, upTo uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dialing--
	n := 0
	for w := g.waiters.head; w != nil && w.seq <= upTo; w = w.next {
		n++
	}
	for n -= g.dialing; n > 0; n-- {
		g.waiters.pop().ready <- result{err: err}
	}
	g.dialLocked()
}

// failLocked gives err to everybody who waits.
func (g *group) failLocked(err error) {
	for g.waiters.len > 0 {
		g.waiters.pop().ready <- result{err: err}
	}
}
