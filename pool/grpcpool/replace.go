package grpcpool

import (
	"time"

	"github.com/lastack/lastack/metrics"
)

// replaceAtATime bounds the channels that take the place of others at a time, so
// that those of one age do not all leave at once.
const replaceAtATime = 2

// replace begins a channel for each that is too old, or hangs; that one leaves
// when the new one serves. It returns how long there is nothing more to do.
func (p *ClientConn) replace() time.Duration {
	m := &p.manager
	under, wait := 0, never
	for _, c := range m.all {
		if c.replaces != nil {
			under++
		}
	}
	for _, c := range m.all {
		if c.phase != serving || c.replaced {
			continue
		}
		old, untilOld := c.aged()
		hung := c.hangs()
		if !old && !hung {
			wait = min(wait, untilOld)
			continue
		}
		if under >= replaceAtATime || p.now() < m.hold {
			continue // there will be a nudge, or a look, when that is over
		}
		c.reason = metrics.MaxAge
		if hung {
			c.reason = metrics.Timeout
			p.config.Logger.Warn("grpcpool: a channel hangs", "target", p.target, "silence", c.silence())
		}
		if _, err := p.birth(c, true, false); err != nil {
			m.failures++
			m.hold = p.now() + holdFor(m.failures)
			c.replaced = false
			continue
		}
		under++
	}
	return wait
}
