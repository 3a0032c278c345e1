package grpcpool

import (
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

const (
	penalty    = 10 // calls that a channel seems to carry more than it does, because of an error
	penaltyFor = 5 * time.Second
)

// pick counts a call on the less loaded of two channels, or if neither can take
// it on the best of all. It returns nil if no channel has a stream free, or
// others have been waiting for one.
func (p *ClientConn) pick() *channel {
	if p.waiting.Load() > 0 {
		return nil
	}
	set := *p.open.Load()
	switch len(set) {
	case 0:
		return nil
	case 1:
		if set[0].reserve() {
			return set[0]
		}
		return nil
	}
	i, j := rand.IntN(len(set)), rand.IntN(len(set)-1)
	if j >= i {
		j++
	}
	a, b := set[i], set[j]
	if b.load() < a.load() {
		a, b = b, a
	}
	if a.is(connectivity.Ready) && a.reserve() {
		return a
	}
	if b.is(connectivity.Ready) && b.reserve() {
		return b
	}
	return p.pickFree()
}

// pickFree counts a call on the best channel that has a stream free. It returns
// nil if there is none. While a channel is connected those that are not have none:
// if they cannot connect, their calls fail.
func (p *ClientConn) pickFree() *channel {
	for {
		set := *p.set.Load()
		var best *channel
		connected := false
		for _, c := range set {
			connected = connected || c.is(connectivity.Ready)
			if n := c.calls.Load(); n >= 0 && n < c.limit.Load() && (best == nil || c.better(best)) {
				best = c
			}
		}
		if best == nil || connected && !best.is(connectivity.Ready) {
			return nil
		}
		if best.reserve() {
			return best
		}
		// Somebody else was faster, so there is no end of this without progress.
	}
}

// pickAny counts a call on the channel where it waits the least for a stream, if
// none is free. It returns nil if there is no channel.
func (p *ClientConn) pickAny() *channel {
	for {
		set := *p.set.Load()
		if len(set) == 0 {
			return nil
		}
		best := set[0]
		for _, c := range set[1:] {
			if c.sooner(best) {
				best = c
			}
		}
		if best.force() {
			return best
		}
		// It has been closed, so there is another set by now.
	}
}

// better reports whether a call should rather go to c than to d.
func (c *channel) better(d *channel) bool {
	if a, b := c.rank(), d.rank(); a != b {
		return a < b
	}
	return c.load() < d.load()
}

// sooner reports whether c will rather have a stream for one more call than d. The
// servers behind one name need not allow the same number, and one that allows
// none for now is not to gather all calls because it carries none.
func (c *channel) sooner(d *channel) bool {
	if a, b := c.rank(), d.rank(); a != b {
		return a < b
	}
	a, b := (c.load()+1)*d.limit.Load(), (d.load()+1)*c.limit.Load()
	if a != b {
		return a < b
	}
	return c.load() < d.load()
}

const (
	usable = iota
	connecting
	hopeless // calls that do not wait for ready fail at once
)

// rank returns what comes before the load.
func (c *channel) rank() int {
	switch connectivity.State(c.state.Load()) {
	case connectivity.Ready:
		return usable
	case connectivity.TransientFailure:
		return hopeless
	}
	return connecting
}

// load returns how many calls the channel seems to carry.
func (c *channel) load() int64 {
	n := c.calls.Load()
	if until := c.bad.Load(); until != 0 {
		if int64(c.p.now()) < until {
			return n + penalty
		}
		c.bad.CompareAndSwap(until, 0)
	}
	return n
}

// finish counts the end of a call that has had the channel since then, and
// learns from its error.
func (c *channel) finish(since time.Time, err error) {
	c.p.host.Return(time.Now(), since)
	c.p.host.Done()
	if err == nil || err == io.EOF {
		if c.timeouts.Load() != 0 {
			c.wasAnswered()
		}
	} else {
		c.learn(err)
	}
	c.release()
}

// learn notes what the error of a call says of its channel.
func (c *channel) learn(err error) {
	switch status.Code(err) {
	case codes.DeadlineExceeded:
		c.timedOut()
	case codes.Unavailable, codes.ResourceExhausted, codes.Internal:
		c.bad.Store(int64(c.p.now() + penaltyFor))
		c.wasAnswered()
	case codes.Canceled:
		// The caller's doing.
	default:
		c.wasAnswered()
	}
}
