package metrics

import (
	"sync"
	"testing"
	"time"
)

// TestFeedWhileGhostIsBusy has events come while the ghost is at work: they
// wait in the buffer, and those who bring too many wait themselves.
func TestFeedWhileGhostIsBusy(t *testing.T) {
	var m Meter
	h := m.Host("h:443")
	m.feed.sim.mu.Lock()
	for range maxBacklog/2 - 1 { // one short of the bound, so nobody waits
		h.Lease(time.Now(), true)
		h.Return(time.Now(), time.Time{})
	}
	if n := len(m.feed.buf); n != maxBacklog-2 {
		t.Fatalf("%d events wait, want %d", n, maxBacklog-2)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			h.Lease(time.Now(), true)
			h.Return(time.Now(), time.Time{})
		})
	}
	m.feed.sim.mu.Unlock()
	wg.Wait()
	if s := m.Snapshot(); s.WouldHave[PerRequest] != maxBacklog/2-1+10 {
		t.Errorf("%d requests arrived, want %d", s.WouldHave[PerRequest], maxBacklog/2-1+10)
	}
}
