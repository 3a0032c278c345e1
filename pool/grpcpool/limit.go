package grpcpool

import (
	"net"
	"time"

	"github.com/lastack/lastack/metrics"
)

// A line is one connection of a channel, and what its server has said.
type line struct {
	c       *channel
	raw     net.Conn // as it was dialled
	allowed int64    // streams; negative: it has not said
	done    bool     // it takes no more calls
}

// open is called when a connection has been made and secured.
func (c *channel) open(raw net.Conn) hearer {
	l := &line{c: c, raw: raw, allowed: -1}
	c.mu.Lock()
	c.lines[l] = struct{}{}
	c.mu.Unlock()
	return l
}

// settings hears how many streams the server allows.
func (l *line) settings(maxStreams uint32) {
	l.c.mu.Lock()
	l.allowed = int64(maxStreams)
	l.c.mu.Unlock()
	if maxStreams > 0 { // none at all is for now, or for this server
		l.c.p.known.Store(int64(maxStreams))
	}
	l.c.measure()
}

// goAway hears that the connection takes no more calls.
func (l *line) goAway(code uint32, debug string) {
	l.c.mu.Lock()
	l.done = true
	l.c.mu.Unlock()
	l.c.leaves(l.raw, metrics.GoAway)
	if code == enhanceYourCalm && debug == tooManyPings {
		l.c.p.calmDown(l.c)
	}
	l.c.measure()
}

// closed hears that the connection is no more.
func (l *line) closed() {
	l.c.mu.Lock()
	delete(l.c.lines, l)
	l.c.mu.Unlock()
	l.c.forget(l.raw)
	l.c.measure()
}

// With this error code of RFC 9113 and these words servers of gRPC say that they
// get too many pings.
const (
	enhanceYourCalm = 0xb
	tooManyPings    = "too_many_pings"
)

// maxCalm bounds what is learned from that: the servers of gRPC ask for two hours
// at most, from clients without calls.
const maxCalm = int64(2 * time.Hour)

// calmDown doubles the keepalive time of later channels, once for all that have
// the same.
func (p *ClientConn) calmDown(c *channel) {
	calmer := min(2*c.calm, maxCalm)
	if c.calm > 0 && c.calm < maxCalm && p.calm.CompareAndSwap(c.calm, calmer) {
		p.config.Logger.Warn("grpcpool: the server wants fewer pings",
			"target", p.target, "keepalive", time.Duration(calmer))
	}
}

// measure sets the channel's limit to the streams of its connections, or to a
// guess as long as no server has been heard on any.
func (c *channel) measure() {
	c.mu.Lock()
	sum, heard := int64(0), false
	for l := range c.lines {
		if !l.done && l.allowed >= 0 {
			heard = true
			sum += c.p.bounded(l.allowed)
		}
	}
	if !heard {
		sum = c.guess()
	}
	c.limit.Store(sum)
	c.mu.Unlock()
	c.p.nudge() // calls may wait for what is free now
}

// bounded returns how many of the streams that a server allows a connection may use.
func (p *ClientConn) bounded(allowed int64) int64 {
	if own := int64(p.config.Streams); own > 0 {
		return min(allowed, own)
	}
	return allowed
}

// guess returns how many streams a connection is taken to have before its
// server has been heard. It is not zero: a channel that nobody may try is not
// heard of again.
func (p *ClientConn) guess() int64 {
	allowed := p.known.Load()
	if allowed < 0 {
		allowed = defaultStreams
		if own := int64(p.config.Streams); own > 0 {
			allowed = own
		}
	}
	return max(p.bounded(allowed), 1)
}

// guess returns how many streams the channel is taken to have. Before the first
// connection of the pool it is one: more calls would wait for that in any case,
// and can still go elsewhere if they do so here.
func (c *channel) guess() int64 {
	if c.p.config.Credentials != nil && c.p.known.Load() < 0 && c.ready.Load() == 0 {
		return 1
	}
	return c.p.guess()
}
