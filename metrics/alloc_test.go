package metrics

import (
	"testing"
	"time"
)

// TestLeaseDoesNotAllocate: what a request costs in the accounts is no memory,
// with the ghosts, the curve and one ghost more, and also where the host is
// found anew.
func TestLeaseDoesNotAllocate(t *testing.T) {
	if UnderRace {
		t.Skip("the race detector allocates")
	}
	m := Meter{Ghosts: []Ghost{{Name: "before", MaxIdlePerHost: 10}}}
	h := m.Host("h:443")
	h.DialDone(Dial{Total: time.Microsecond})
	c := h.Born(true)
	at := time.Now()
	lease := func() {
		h := m.Host("h:443")
		for range 20 { // more at a time than any ghost keeps
			at = at.Add(10 * time.Microsecond)
			h.Request()
			h.Lease(at, true)
			c.Busy()
			c.Leased(at)
		}
		for range 20 {
			leased := at
			at = at.Add(10 * time.Microsecond)
			h.Return(at, leased)
			c.Rest()
		}
	}
	for range 100 { // what grows once
		lease()
	}
	if n := testing.AllocsPerRun(1000, lease); n != 0 {
		t.Errorf("20 leases and returns allocate %v times", n)
	}
}
