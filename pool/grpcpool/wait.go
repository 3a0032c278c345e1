package grpcpool

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// A waiter is a call that waits for a channel. It is in the pool's queue until
// it is given one, or an error, or gives up.
type waiter struct {
	given      chan *channel // holds one; closed without one: the pool is closed
	prev, next *waiter
	queued     bool
}

// A waiterQueue is first in, first out. A waiter leaves it from anywhere.
type waiterQueue struct {
	head, tail *waiter
	len        int64
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

// wait counts a call on a channel that pick has not found, and the time that this
// takes.
func (p *ClientConn) wait(ctx context.Context) (*channel, error) {
	var since time.Time
	c, err := p.queueUp(ctx, &since)
	if !since.IsZero() {
		p.host.Waited(time.Since(since), err != nil && ctx.Err() != nil, err)
	}
	return c, err
}

// queueUp counts a call on a channel: on the first that
// has a stream free, as long as there is hope of one. Where none can connect, or
// streams are only guessed, it is any, where the call waits in grpc-go. If it
// waits here, since is set.
func (p *ClientConn) queueUp(ctx context.Context, since *time.Time) (*channel, error) {
	w := &waiter{given: make(chan *channel, 1)}
	p.mu.Lock()
	if p.refuse {
		p.mu.Unlock()
		return nil, grpc.ErrClientConnClosing
	}
	p.queue.push(w)
	p.serveLocked()
	waits := w.queued
	p.mu.Unlock()
	if waits {
		*since = time.Now()
		p.host.Wait()
		p.nudge()
	}
	select {
	case c, ok := <-w.given:
		if !ok {
			return nil, grpc.ErrClientConnClosing
		}
		return c, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	inTime := p.queue.remove(w)
	p.shortenedLocked()
	p.mu.Unlock()
	if !inTime {
		// It was given a channel at the same time. Nobody may lose by that.
		if c, ok := <-w.given; ok {
			c.release()
		}
	}
	return nil, status.FromContextError(ctx.Err()).Err()
}

// serve gives channels to the calls that wait, as streams are free.
func (p *ClientConn) serve() {
	p.mu.Lock()
	p.serveLocked()
	p.mu.Unlock()
}

func (p *ClientConn) serveLocked() {
	// A stream that gets free from here on is offered by whoever frees it: he
	// sees that calls wait.
	p.waiting.Store(p.queue.len)
	for p.queue.head != nil {
		c := p.pickFree()
		if c == nil && !p.mayGrow {
			c = p.pickAny()
		}
		if c == nil {
			break
		}
		w := p.queue.head
		p.queue.remove(w)
		w.given <- c
	}
	p.shortenedLocked()
}

// shortenedLocked counts the calls that wait, of which there may be fewer than
// before. When there are none any more a manager that is to close can begin.
func (p *ClientConn) shortenedLocked() {
	before := p.waiting.Swap(p.queue.len)
	if before > 0 && p.queue.len == 0 && p.refuse {
		p.nudge()
	}
}

// failLocked has the calls that wait fail.
func (p *ClientConn) failLocked() {
	for w := p.queue.head; w != nil; w = p.queue.head {
		p.queue.remove(w)
		close(w.given)
	}
	p.waiting.Store(0)
}
