package pool

import (
	"math/rand/v2"
	"time"
)

const (
	backoffFirst = 5 * time.Millisecond
	backoffMax   = 250 * time.Millisecond // more would show in the 99th percentile of a host that restarts

	// spareBackoff is by how much longer a dial waits that no request waits for.
	spareBackoff = 64
)

// A backoff spaces out the dials to a host that cannot be reached: after a
// failure they begin one at a time, each further from the last, and the
// requests that wait share the next one and its error. So a request may have to
// wait for up to backoffMax longer to hear that its host is down; it is never
// told so without a dial that began after it came. A dial that succeeds ends
// it. The zero backoff has seen no failure.
//
// It is guarded by the group's mu.
type backoff struct {
	failures int         // dials in a row that have failed
	failedAt time.Time   // when the last did
	last     error       // and why
	brief    int         // connections in a row that died young and had served nobody
	next     time.Time   // when the next may begin
	spare    time.Time   // when the next that no request waits for may begin
	timer    *time.Timer // for whichever of these is waited for and comes first; or nil
	wake     time.Time   // when it fires
}

// failed notes that a dial has failed. Those that were in progress together
// count as one.
func (b *backoff) failed(began, now time.Time, err error) {
	b.last = err
	if b.failures == 0 || !began.Before(b.failedAt) {
		b.failures++
	}
	b.failedAt = now
	b.space(now)
}

// began notes that a dial begins.
func (b *backoff) began(now time.Time) {
	if b.failures > 0 {
		b.space(now)
	}
}

// space puts off the next dial: by twice as much with each failure, less up to
// a half at random, so that the clients of a host that comes back do not all
// dial at once.
func (b *backoff) space(now time.Time) {
	d := delay(b.failures)
	b.next, b.spare = now.Add(d), now.Add(spareBackoff*d)
}

func delay(failures int) time.Duration {
	d := min(backoffFirst<<min(failures-1, 16), backoffMax)
	return d - rand.N(d/2)
}

// over says that a dial has succeeded.
func (b *backoff) over() {
	b.failures, b.last, b.next = 0, nil, time.Time{}
	if b.brief == 0 {
		b.spare = time.Time{}
	}
}

// gone notes that a connection has gone. A host that accepts connections and
// hangs up at once (a balancer without a server behind it) is dialled as seldom
// as one that is down, unless a request wants it.
func (b *backoff) gone(c *conn) {
	if c.uses > 0 || c.reason != "" || time.Since(c.born) > time.Second {
		b.brief = 0
		return
	}
	b.brief++
	b.spare = time.Now().Add(spareBackoff * delay(b.brief))
}

// stop ends the wait for the next dial.
func (b *backoff) stop() {
	if b.timer != nil {
		b.timer.Stop()
	}
}

// heldLocked reports whether a dial must not begin yet, and if so has the group
// look again when it may.
func (g *group) heldLocked(spare bool) bool {
	b := &g.backoff
	at := b.next
	if spare {
		at = b.spare
	}
	wait := time.Until(at)
	if wait <= 0 {
		return false
	}
	if b.timer != nil {
		if b.wake.Before(at) && time.Now().Before(b.wake) {
			return true
		}
		b.timer.Stop()
	}
	b.timer, b.wake = time.AfterFunc(wait, g.dialMore), at
	return true
}
