package grpcpool

// timedOut notes a call whose deadline has passed. Silence says something only
// while calls are made: a channel at rest does not hang.
func (c *channel) timedOut() {
	k, after := int64(c.p.config.HungCalls), c.p.config.HungAfter
	if n := c.timeouts.Add(1); k < 0 || after < 0 || n < k {
		return
	}
	c.bad.Store(int64(c.p.now() + penaltyFor))
	if c.ready.Load() != 0 && c.silence() >= after {
		c.hung.Store(true)
		c.p.nudge()
	}
}

// wasAnswered notes a call that the server has answered, in whatever way.
func (c *channel) wasAnswered() {
	c.timeouts.Store(0)
	c.hung.Store(false)
	c.answered.Store(int64(c.p.now()))
}

// hangs reports whether calls exceed their deadlines and nothing comes from the
// server.
func (c *channel) hangs() bool { return c.hung.Load() && c.ready.Load() != 0 }
