package pool

import (
	"errors"
	"os"
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
func (g *group) waitsForPortLocked(err error, began, now time.Time) bool {
	// Of a host to which there are connections it is known that there is a way.
	known := len(g.live) > 0
	exhausted := errors.Is(err, dialer.ErrPortsExhausted) || known && mayLackPort(err)
	if !exhausted || known {
		g.exhausted = time.Time{}
		return exhausted
	}
	// A dial may itself take longer than that, where it waits for a port or
	// tries other addresses.
	if g.exhausted.IsZero() || began.Sub(g.backoff.failedAt) > exhaustedFor {
		g.exhausted = began
	}
	return now.Sub(g.exhausted) < exhaustedFor
}

// mayLackPort reports whether a dial may have failed for want of a port, though
// its error does not say that. Where there is no source address, waiting for a
// connection to come back is of no use: the kernel refuses to bind to one that is
// not local any more.
func mayLackPort(err error) bool {
	if e, ok := errors.AsType[*dialer.Error](err); ok && (e.Cause == dialer.SourceNotLocal || e.Cause == dialer.NoSource) {
		return false
	}
	sys, ok := errors.AsType[*os.SyscallError](err)
	return errors.Is(err, syscall.EADDRNOTAVAIL) && (!ok || sys.Syscall != "bind")
}
