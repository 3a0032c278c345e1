package grpcpool

import (
	"cmp"
	"math"
	"slices"
	"time"

	"google.golang.org/grpc/connectivity"

	"github.com/lastack/lastack/metrics"
)

const (
	// Another channel is begun when less than 1/headRoom of a channel's streams
	// are free.
	headRoom = 8

	// looks is how often in a Cooldown use is looked at.
	looks = 8

	// shrinkBy is how many channels may leave at a time: calls that were spread
	// over more than that would make those that stay hot.
	shrinkBy = 2

	// hopelessFor is how long a channel may fail to connect while it is not
	// needed.
	hopelessFor = 5 * time.Second
)

// grows reports whether another channel may be begun, and would help.
func (p *ClientConn) grows() bool {
	m := &p.manager
	return p.count(serving)+p.count(joining) < p.config.MaxConns &&
		p.now() >= m.hold &&
		p.lends()
}

// lends reports whether a channel is connected, else another would not connect
// either, and its server allows it calls: one that allows none to any means all
// connections.
func (p *ClientConn) lends() bool {
	return slices.ContainsFunc(p.manager.all, func(c *channel) bool {
		return c.phase == serving && c.is(connectivity.Ready) && c.limit.Load() > 0
	})
}

// mayWait reports whether a call that finds no stream free is to wait for
// one, because there may soon be more.
func (p *ClientConn) mayWait() bool {
	switch {
	case p.count(serving) == 0 || p.count(joining) > 0:
		return true
	case p.any(connectivity.Ready):
		// What is not known may be more, but what is will not be: in grpc-go a
		// call would wait behind those of one channel, which may be long.
		return p.limited || p.grows() || p.any(connectivity.Connecting)
	}
	// What its server allows is known once a channel is connected; and if it
	// cannot connect, calls are to hear that from it.
	return p.any(connectivity.Idle, connectivity.Connecting)
}

// lack returns how many streams are missing for the calls that there are and
// some head room. It is negative if there are more than that.
func (p *ClientConn) lack() int64 {
	per := p.guess()
	p.mu.Lock() // so that no call is counted as waiting and, given a channel, there
	defer p.mu.Unlock()
	lack := p.queue.len + per/headRoom
	for _, c := range p.manager.all {
		if c.phase != serving {
			continue
		}
		switch connectivity.State(c.state.Load()) {
		case connectivity.Ready:
			lack += c.calls.Load() - c.limit.Load()
		case connectivity.Connecting:
			lack += c.calls.Load() - max(c.limit.Load(), per)
		}
	}
	return lack
}

// grow begins as many channels as are missing, and has those that serve say
// when more will be.
func (p *ClientConn) grow() {
	m := &p.manager
	for p.now() >= m.hold && p.count(serving)+p.count(joining) < p.config.minConns() {
		if !p.more() {
			break
		}
	}
	if p.grows() { // a channel is connected, so its server has been heard
		per := p.guess()
		for lack := p.missing(); lack > 0 && p.grows(); lack -= per {
			if !p.recall() && !p.more() {
				break
			}
		}
	}
	p.setMarks()
	if p.grows() && p.missing() > 0 {
		p.nudge() // a call came in between, and found the marks of before
	}
}

// missing returns how many streams are missing when those that are on their way
// have come.
func (p *ClientConn) missing() int64 { return p.lack() - p.guess()*int64(p.count(joining)) }

// more begins a channel.
func (p *ClientConn) more() bool {
	if _, err := p.birth(nil, true, false); err != nil {
		m := &p.manager
		m.failures++
		m.hold = p.now() + holdFor(m.failures)
		p.config.Logger.Warn("grpcpool: a channel could not be made", "target", p.target, "err", err)
		return false
	}
	return true
}

// recall has a channel serve again that was not needed any more.
func (p *ClientConn) recall() bool {
	for _, c := range p.manager.all {
		if c.phase == draining && c.reason == metrics.Excess && c.is(connectivity.Ready) {
			c.reason = ""
			c.leaving.Store(false)
			c.cc.Connect() // if its server closed it meanwhile it was left alone
			p.serveOn(c)
			return true
		}
	}
	return false
}

// setMarks says from how many calls on each channel is to nudge the manager. If that
// can do nothing it is not to be woken for each call.
func (p *ClientConn) setMarks() {
	able := p.count(joining) == 0 && p.grows()
	for _, c := range p.manager.all {
		mark := int64(math.MaxInt64)
		if able && c.phase == serving {
			mark = c.limit.Load() - max(1, p.guess()/headRoom/int64(p.count(serving)))
		}
		c.mark.Store(mark)
	}
}

// A usage remembers how many channels were needed lately.
type usage struct {
	needed [looks]int    // the last first
	next   time.Duration // when to look again; 0: there is nothing to look for
}

// shrink lets channels go that were not needed for a whole Cooldown. It returns
// how long there is nothing more to do.
func (p *ClientConn) shrink() time.Duration {
	u, n := &p.manager.use, p.count(serving)
	if n <= p.config.minConns() {
		*u = usage{}
		return never
	}
	every := max(p.config.Cooldown/looks, time.Millisecond)
	if u.next == 0 {
		p.peaks() // from now on; until now all may have been needed
		for i := range u.needed {
			u.needed[i] = n
		}
		u.next = p.now() + every
	}
	if left := u.next - p.now(); left > 0 {
		return left
	}
	u.next = p.now() + every
	copy(u.needed[1:], u.needed[:])
	u.needed[0] = p.needed(p.peaks())
	if most := slices.Max(u.needed[:]); most < n {
		p.excess(min(n-most, shrinkBy))
	}
	return every
}

// peaks returns how many calls there were at most since it was asked last.
func (p *ClientConn) peaks() (sum int64) {
	for _, c := range p.manager.all {
		if c.phase == serving {
			sum += c.peak.Swap(max(c.calls.Load(), 0))
		}
	}
	return sum
}

// needed returns how many channels so many calls need, if those are not to be
// about to grow.
func (p *ClientConn) needed(calls int64) int {
	per := max(p.guess()*3/4, 1)
	return int(max(min((calls+per-1)/per, int64(p.config.MaxConns)), int64(p.config.minConns())))
}

// excess has the n channels leave that are least worth keeping.
func (p *ClientConn) excess(n int) {
	var set []*channel
	for _, c := range p.manager.all {
		if c.phase == serving && !c.replaced {
			set = append(set, c)
		}
	}
	slices.SortStableFunc(set, func(a, b *channel) int {
		return cmp.Or(cmp.Compare(b.rank(), a.rank()), cmp.Compare(a.calls.Load(), b.calls.Load()))
	})
	for _, c := range set[:min(n, len(set))] {
		p.drain(c, metrics.Excess)
	}
}

// shed has channels leave that cannot connect, while there are others. It returns
// how long there is nothing more to do.
func (p *ClientConn) shed() time.Duration {
	wait := never
	for _, c := range p.manager.all {
		since := time.Duration(c.failing.Load())
		if c.phase != serving || since == 0 || c.replaced || p.count(serving) <= p.config.minConns() {
			continue
		}
		if left := since + hopelessFor - p.now(); left > 0 {
			wait = min(wait, left)
			continue
		}
		p.drain(c, metrics.Error)
	}
	return wait
}
