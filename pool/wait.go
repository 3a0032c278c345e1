package pool

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// A waiter is a request that waits for a connection. It is in its group's
// queue until it is given a result, or gives up.
type waiter struct {
	req   *http.Request   // that waits, or nil
	ctx   context.Context // of the request; a dial for it takes its values
	seq   uint64          // its number among the group's waiters
	ready chan result     // holds one

	prev, next *waiter
	queued     bool
	dial       *dial // that is in progress for it, or nil
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

// toFront makes w, which is in the queue, the first.
func (q *waiterQueue) toFront(w *waiter) {
	if q.remove(w); q.head == nil {
		q.push(w)
		return
	}
	w.queued = true
	w.next, q.head.prev, q.head = q.head, w, w
	q.len++
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
	g.disownLocked(w)
	failures, last := g.backoff.failures, g.backoff.last
	g.dialLocked() // others may have relied on its dial, which may hang
	g.mu.Unlock()
	if given {
		// The result came at the same time. Nobody else may lose by that.
		if r := <-w.ready; r.err == nil {
			r.lease.c.giveBack()
		}
	}
	err := context.Cause(ctx)
	if err == errCanceled() {
		err = errCanceledWaiting()
	}
	if last != nil {
		// Say what it was waiting for.
		err = &Error{Op: "dial", Key: g.key, Failures: failures, Err: fmt.Errorf("%w, while dials fail: %w", err, last)}
	}
	return lease{}, err
}

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
	surplus := g.returnLocked(c, time.Now())
	g.mu.Unlock()
	g.shed(surplus)
	c.onState() // what it was called for while the slot was pending, it has ignored
}

// failLocked gives err to everybody who waits.
func (g *group) failLocked(err error) {
	for g.waiters.len > 0 {
		w := g.waiters.pop()
		g.disownLocked(w)
		w.ready <- result{err: err}
	}
}
