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
var counting counter

// A counter counts sockets for dials that have failed. The kernel walks all of
// its sockets for that, so failures share what was counted, one count is under
// way at a time, and a pause follows each.
type counter struct {
	mu      sync.Mutex
	answers map[question]answer
	running chan struct{} // closed when the count under way is over; nil: none is
	next    time.Time     // when another may begin
}

// A question is which sockets to count: those from the source to the
// destination, or to any if that is not valid, on ports of the range, or on any
// if that is zero. Addresses have no zones: the kernel tells none.
type question struct {
	source netip.Addr
	to     netip.AddrPort
	ports  PortRange
}

type answer struct {
	at     time.Time
	counts counts
}

// counts are by the numbers of states.
type counts [sockdiag.Closing + 1]int

// ask returns the counts of a second ago at most. It returns false if it cannot
// have them now.
func (c *counter) ask(ctx context.Context, q question, now time.Time) (counts, bool) {
	c.mu.Lock()
	if a, ok := c.answers[q]; ok && now.Sub(a.at) < countValid {
		c.mu.Unlock()
		return a.counts, true
	}
	if running := c.running; running != nil {
		c.mu.Unlock()
		return c.await(ctx, q, running)
	}
	if now.Before(c.next) {
		c.mu.Unlock()
		return counts{}, false
	}
	running := make(chan struct{})
	c.running = running
	c.mu.Unlock()

	began := time.Now()
	got, ok := count(q)

	c.mu.Lock()
	defer c.mu.Unlock()
	if ok {
		if c.answers == nil || len(c.answers) >= maxAnswers {
			c.answers = make(map[question]answer)
		}
		c.answers[q] = answer{time.Now(), got}
	}
	c.next = time.Now().Add(countShare * time.Since(began))
	c.running = nil
	close(running)
	return got, ok
}

// await waits for the count under way, which most often is the same.
func (c *counter) await(ctx context.Context, q question, running chan struct{}) (counts, bool) {
	timer := time.NewTimer(countFor)
	defer timer.Stop()
	select {
	case <-running:
	case <-timer.C:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.answers[q]
	return a.counts, ok && time.Since(a.at) < countValid
}

// count has the kernel walk its sockets.
func count(q question) (counts, bool) {
	diag, err := sockdiag.Open()
	if err != nil {
		return counts{}, false
	}
	defer diag.Close()
	var got counts
	deadline := time.Now().Add(countFor)
	seen, late := 0, false
	err = diag.Each(sockdiag.AllStates&^sockdiag.Listen.Mask(), func(s sockdiag.Socket) bool {
		if seen++; seen%1024 == 0 && time.Now().After(deadline) {
			late = true
			return false
		}
		if s.Local.Addr() == q.source && (!q.to.IsValid() || s.Remote == q.to) &&
			(q.ports == PortRange{} || q.ports.Contains(s.Local.Port())) && int(s.State) < len(got) {
			got[s.State]++
		}
		return true
	})
	return got, err == nil && !late
}
