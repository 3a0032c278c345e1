package grpcpool

import "time"

// aged reports whether the channel's connection is too old, and if not for how
// long it is not.
func (c *channel) aged() (bool, time.Duration) {
	since := c.ready.Load()
	if c.life == 0 || since == 0 {
		return false, never
	}
	left := time.Duration(since) + c.life - c.p.now()
	return left <= 0, left
}
