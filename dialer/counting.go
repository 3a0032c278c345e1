package dialer

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/lastack/lastack/internal/sockdiag"
)

const (
	countFor   = 250 * time.Millisecond // the longest that a failed dial waits for a count
	countValid = time.Second
	countShare = 10 // of the time, at most one part in as many goes by with counting
	maxAnswers = 256
)

// counting is the process's, as the sockets are the kernel's.
var counting = counter{count: count}

// A counter counts sockets for dials that have failed. The kernel walks all of
// its sockets for that, so failures share what was counted, one count is under
// way at a time, and a pause follows each.
type counter struct {
	count func(question) (perSource, bool)

	mu      sync.Mutex // nothing is called under it
	answers map[question]answer
	running chan struct{} // closed when the count under way is over; nil: none is
	next    time.Time     // when another may begin
}

// A question is which sockets to count: those to the destination, or to any if
// that is not valid, on local ports of the range, or on any if that is zero.
// Addresses have no zones: the kernel tells none.
type question struct {
	to    netip.AddrPort
	ports PortRange
}

type answer struct {
	at time.Time
	by perSource // not changed any more
}

// perSource are the sockets by their local address and the number of their state.
type perSource map[netip.Addr]*[sockdiag.Closing + 1]int

// ask returns the counts of a second ago at most. It returns false if it cannot
// have them now.
func (c *counter) ask(ctx context.Context, q question) (perSource, bool) {
	now := time.Now()
	c.mu.Lock()
	if by, ok := c.knownLocked(q, now); ok {
		c.mu.Unlock()
		return by, true
	}
	if running := c.running; running != nil {
		c.mu.Unlock()
		return c.await(ctx, q, running)
	}
	if now.Before(c.next) {
		c.mu.Unlock()
		return nil, false
	}
	running := make(chan struct{})
	c.running = running
	c.mu.Unlock()

	by, ok := c.count(q)
	over := time.Now()

	c.mu.Lock()
	defer c.mu.Unlock()
	if ok {
		if c.answers == nil || len(c.answers) >= maxAnswers {
			c.answers = make(map[question]answer)
		}
		c.answers[q] = answer{over, by}
	}
	c.next = over.Add(countShare * over.Sub(now))
	c.running = nil
	close(running)
	return by, ok
}

func (c *counter) knownLocked(q question, now time.Time) (perSource, bool) {
	a, ok := c.answers[q]
	return a.by, ok && now.Sub(a.at) < countValid
}

// await waits for the count under way, which most often answers the same.
func (c *counter) await(ctx context.Context, q question, running chan struct{}) (perSource, bool) {
	timer := time.NewTimer(countFor)
	defer timer.Stop()
	select {
	case <-running:
	case <-timer.C:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.knownLocked(q, time.Now())
}

// count has the kernel walk its sockets. It returns false if it cannot, or if
// that takes too long.
func count(q question) (perSource, bool) {
	diag, err := sockdiag.Open()
	if err != nil {
		return nil, false
	}
	defer diag.Close()
	by := make(perSource)
	deadline := time.Now().Add(countFor)
	seen, late := 0, false
	err = diag.Each(sockdiag.AllStates, func(s sockdiag.Socket) bool {
		if seen++; seen%1024 == 0 && time.Now().After(deadline) {
			late = true
			return false
		}
		if q.to.IsValid() && s.Remote != q.to || q.ports != (PortRange{}) && !q.ports.Contains(s.Local.Port()) || s.State > sockdiag.Closing {
			return true
		}
		states := by[s.Local.Addr()]
		if states == nil {
			states = new([sockdiag.Closing + 1]int)
			by[s.Local.Addr()] = states
		}
		states[s.State]++
		return true
	})
	return by, err == nil && !late
}
