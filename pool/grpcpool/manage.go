package grpcpool

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/connectivity"

	"github.com/lastack/lastack/metrics"
)

const (
	never = time.Duration(math.MaxInt64)

	// After a channel could not join no other is begun for a while.
	holdFirst = time.Second
	holdMax   = 30 * time.Second
)

// A manager makes all changes to the channels of a pool, in one goroutine. It
// looks at everything whenever it is nudged and when its own time has come, and does what is
// to be done then; so it does not matter how many nudges are lost in one.
type manager struct {
	ctx     context.Context // of the channels' goroutines
	cancel  context.CancelFunc
	all     []*channel // by birth
	closing sync.WaitGroup

	failures int           // joins in a row that have failed
	hold     time.Duration // no new channel before

	use usage
}

// begin makes the first channels.
func (p *ClientConn) begin() error {
	m := &p.manager
	m.ctx, m.cancel = context.WithCancel(context.Background())
	lazy := p.config.Prime == nil
	for i := range p.config.minConns() {
		if _, err := p.birth(nil, !lazy || p.config.MinConns > 0, i == 0 && lazy); err != nil {
			m.cancel()
			for _, c := range m.all {
				c.cc.Close()
			}
			return err
		}
	}
	p.publish()
	return nil
}

// manage is the pool's goroutine, which ends with its last channel.
func (p *ClientConn) manage() {
	defer close(p.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait, over := p.look()
		if over {
			break
		}
		timer.Reset(wait)
		select {
		case <-p.nudges:
		case <-timer.C:
		case <-p.cut:
			p.abort()
		}
	}
	p.manager.cancel()
	p.mu.Lock()
	p.over = true
	own := p.own
	p.mu.Unlock()
	if own != nil {
		own.Close()
	}
	p.manager.closing.Wait()
}

// look does what is to be done now. It returns when to look again, and whether
// everything is over.
func (p *ClientConn) look() (wait time.Duration, over bool) {
	m := &p.manager
	p.advance()
	p.mu.Lock()
	closing := p.refuse && p.queue.len == 0
	p.mu.Unlock()
	if closing {
		p.dismiss()
		p.publish()
		p.bury()
		return never, len(m.all) == 0
	}
	if p.recovered.Swap(false) {
		m.failures, m.hold = 0, 0
		for _, c := range m.all {
			c.cc.ResetConnectBackoff()
		}
	}
	wait = min(p.replace(), p.shed(), p.shrink())
	p.grow()
	p.wake()
	p.publish()
	p.bury()
	if m.hold > p.now() {
		wait = min(wait, m.hold-p.now())
	}
	return max(wait, 0), false
}

// wake connects a channel if calls wait and none is connected. The one that is to
// connect it need not have come as far: an interceptor may hold it.
func (p *ClientConn) wake() {
	if p.waiting.Load() == 0 || p.any(connectivity.Ready) {
		return
	}
	for _, c := range p.manager.all {
		if c.phase == serving && c.is(connectivity.Idle) {
			c.cc.Connect()
		}
	}
}

// birth makes a channel. One that serves from the beginning does not join; one
// that is eager is connected at once.
func (p *ClientConn) birth(replaces *channel, eager, serves bool) (*channel, error) {
	c, err := p.newChannel()
	if err != nil {
		return nil, err
	}
	m := &p.manager
	c.replaces, c.why = replaces, metrics.AllBusy
	switch {
	case replaces != nil:
		replaces.replaced = true
		c.why = replaces.reason
	case p.count(serving)+p.count(joining) < p.config.MinConns:
		c.why = metrics.Spare
	}
	if serves {
		c.phase = serving
	}
	ctx, stop := context.WithCancel(m.ctx)
	c.stop = stop
	m.all = append(m.all, c)
	go c.live(ctx, eager, !serves)
	p.tell("begins", c)
	return c, nil
}

// advance moves channels on whose joining has come to an end.
func (p *ClientConn) advance() {
	m := &p.manager
	for _, c := range slices.Clone(m.all) {
		if c.phase != joining {
			continue
		}
		switch c.outcome.Load() {
		case joined:
			m.failures, m.hold = 0, 0
			p.serveOn(c)
		case failed:
			m.failures++
			m.hold = p.now() + holdFor(m.failures)
			if c.replaces == nil && p.count(serving) == 0 {
				// Calls are to hear from it why it does not connect.
				p.serveOn(c)
				continue
			}
			if c.replaces != nil {
				c.replaces.replaced = false
			}
			p.drain(c, metrics.Error)
		}
	}
}

// holdFor returns how long no channel is begun after so many have failed to
// join.
func holdFor(failures int) time.Duration {
	d := min(holdFirst<<min(failures-1, 16), holdMax)
	return d - rand.N(d/4)
}

// serveOn has a channel serve, and the one leave that it replaces.
func (p *ClientConn) serveOn(c *channel) {
	c.phase = serving
	p.tell("serves", c)
	if old := c.replaces; old != nil {
		c.replaces = nil
		if old.phase == serving {
			p.drain(old, old.reason)
		}
	}
}

// drain has a channel leave when its calls have ended.
func (p *ClientConn) drain(c *channel, reason string) {
	c.phase = draining
	c.reason = reason
	c.leaving.Store(true)
	p.tell("leaves", c)
}

// dismiss has all channels leave.
func (p *ClientConn) dismiss() {
	for _, c := range p.manager.all {
		if c.phase != draining {
			p.drain(c, metrics.Shutdown)
		}
	}
}

// bury closes the channels that leave and have no call any more. They must not
// be among those published.
func (p *ClientConn) bury() {
	m := &p.manager
	m.all = slices.DeleteFunc(m.all, func(c *channel) bool {
		if c.phase != draining || !c.tryClose() {
			return false
		}
		p.close(c)
		return true
	})
}

// close closes a channel, which may take seconds if its connection hangs.
func (p *ClientConn) close(c *channel) {
	c.stop()
	c.leaves(nil, cmp.Or(c.reason, metrics.Shutdown))
	p.manager.closing.Go(func() { c.cc.Close() })
	p.tell("is closed", c)
}

// abort closes all channels whatever they carry.
func (p *ClientConn) abort() {
	m := &p.manager
	p.set.Store(new([]*channel))
	p.mu.Lock()
	p.lost.Calls = int(p.queue.len)
	p.failLocked()
	p.mu.Unlock()
	for _, c := range m.all {
		if n := c.calls.Swap(math.MinInt64 / 2); n > 0 {
			p.lost.Calls += int(n)
			p.lost.Channels++
		}
		p.close(c)
	}
	m.all = nil
}

// publish lets calls see what has changed: which channels serve, and whether
// there is hope of more.
func (p *ClientConn) publish() {
	var set []*channel
	for _, c := range p.manager.all {
		if c.phase == serving {
			set = append(set, c)
		}
	}
	mayGrow := p.mayWait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(set, *p.set.Load()) {
		p.set.Store(&set)
		if !p.refuse {
			p.open.Store(&set)
		}
	}
	p.mayGrow = mayGrow
	p.serveLocked()
}

// count returns how many channels there are in a phase, without those that are
// to take the place of another.
func (p *ClientConn) count(ph phase) (n int) {
	for _, c := range p.manager.all {
		if c.phase == ph && c.replaces == nil {
			n++
		}
	}
	return n
}

// any reports whether a channel that serves is in one of the states.
func (p *ClientConn) any(states ...connectivity.State) bool {
	return slices.ContainsFunc(p.manager.all, func(c *channel) bool {
		return c.phase == serving && slices.Contains(states, connectivity.State(c.state.Load()))
	})
}

// tell logs what becomes of a channel.
func (p *ClientConn) tell(what string, c *channel) {
	p.config.Logger.Debug("grpcpool: a channel "+what, "target", p.target, "reason", c.reason,
		"serving", p.count(serving), "joining", p.count(joining), "calls", max(c.calls.Load(), 0))
}
