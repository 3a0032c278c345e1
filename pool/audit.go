package pool

import (
	"context"
	"net/http"
	"time"
)

// auditInterval is how often a busy HTTP/2 connection is looked at for what no
// event tells.
//
// A request that waits in net/http for a stream, because the server has lowered
// its limit just when it was given one, is not always woken: where others hold
// reservations they wait for one another, and where the limit was 0 nobody tells
// it that it has risen.
const auditInterval = 250 * time.Millisecond

// auditLocked sees to it that the connection is looked at while it is busy.
func (c *conn) auditLocked() {
	if c.h2 && !c.alt && !c.audited {
		c.audited = true
		time.AfterFunc(auditInterval, c.audit)
	}
}

// audit takes in what the hook has missed, and wakes requests that have waited
// for a stream since the last look.
func (c *conn) audit() {
	c.onState()
	g := c.g
	g.mu.Lock()
	c.audited = false
	waits := false
	if c.where != gone && c.streams > 0 {
		c.auditLocked()
		calls := int(c.calls.Load())
		waits = calls > 0 && (c.cc.Available() == 0 || calls > c.cc.InFlight())
	}
	stuck := waits && c.waited && c.usesThen == c.uses
	c.waited, c.usesThen = waits, c.uses
	g.mu.Unlock()
	if stuck {
		for range c.calls.Load() {
			c.nudge()
		}
		c.onState()
	}
}

// nudge has net/http look again whether a request that waits for a stream may
// have one. A request whose context has ended does that, and takes away one
// reservation, of which those that wait need none any more. Nothing of it is sent.
func (c *conn) nudge() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if resp, err := c.cc.RoundTrip(c.ownRequest(http.MethodGet, "/").WithContext(ctx)); err == nil {
		resp.Body.Close()
	}
}
