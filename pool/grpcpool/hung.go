package grpcpool

import "time"

// timedOut notes a call whose deadline has passed.
func (c *channel) timedOut() {
	n := c.timeouts.Add(1)
	if k := int64(c.p.config.HungCalls); k > 0 && n >= k {
		c.bad.Store(int64(c.p.now() + penaltyFor))
		c.p.nudge()
	}
}

// wasAnswered notes a call that the server has answered, in whatever way.
func (c *channel) wasAnswered() {
	c.timeouts.Store(0)
	c.answered.Store(int64(c.p.now()))
}

// hangs reports whether calls exceed their deadlines and nothing comes from the
// server. If the one holds but the other does not yet, it returns how long that
// takes at least.
func (c *channel) hangs() (bool, time.Duration) {
	k, after := int64(c.p.config.HungCalls), c.p.config.HungAfter
	if k < 0 || after < 0 || c.timeouts.Load() < k || c.ready.Load() == 0 {
		return false, never
	}
	quiet := c.silence()
	return quiet >= after, after - quiet
}
