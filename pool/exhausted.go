package pool

import (
	"errors"
	"syscall"
	"time"

	"github.com/lastack/lastack/dialer"
)

// exhaustedFor is how long requests wait for a local port where there is no
// connection of their host to wait for. Those that have just been closed may
// still hold theirs, for as long as a goodbye takes.
const exhaustedFor = 3 * time.Second

// waitsForPortLocked reports whether the requests that wait go on waiting after
// a dial has failed. They do if it has failed for want of a local port: then a
// connection that comes back, or one that ends, serves them. Dials are tried
// meanwhile, spaced out.
func (g *group) waitsForPortLocked(err error, now time.Time) bool {
	// Of a host to which there are connections it is known that there is a way.
	known := len(g.live) > 0
	exhausted := errors.Is(err, dialer.ErrPortsExhausted) || known && errors.Is(err, syscall.EADDRNOTAVAIL)
	if !exhausted || known {
		g.exhausted = time.Time{}
		return exhausted
	}
	if g.exhausted.IsZero() || now.Sub(g.backoff.failedAt) > exhaustedFor {
		g.exhausted = now
	}
	return now.Sub(g.exhausted) < exhaustedFor
}
