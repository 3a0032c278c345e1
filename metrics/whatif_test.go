package metrics

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestCurve compares the curve with pools of every size, on 100,000 random
// traces of which each leans to few or to many connections.
func TestCurve(t *testing.T) {
	traces := uint64(100_000)
	if underRace {
		traces = 5_000
	}
	for seed := range traces {
		rng := rand.New(rand.NewPCG(seed, 5))
		var c curve
		var idle [curveSizes]int
		var want [curveSizes]WhatIf
		busy, most := 0, 1+rng.IntN(2*curveSizes)
		lease := 1 + rng.IntN(9) // in ten
		length := 1 + rng.IntN(120)
		if seed%100 == 0 {
			length *= 20
		}
		for range length {
			if busy == 0 || busy < most && rng.IntN(10) < lease {
				busy++
				c.lease()
				for k := range idle {
					if idle[k] > 0 {
						idle[k]--
					} else {
						want[k].Dials++
					}
				}
			} else {
				busy--
				c.giveBack()
				for k := range idle {
					if idle[k] < k {
						idle[k]++
					} else {
						want[k].TimeWaits++
					}
				}
			}
			if rng.IntN(40) == 0 {
				lease = 10 - lease
			}
		}
		var got [curveSizes]WhatIf
		c.read(got[:], true)
		for k := range want {
			if want[k].MaxIdle = k; got[k] != want[k] {
				t.Fatalf("seed %d: the curve has %+v, a pool of that size %+v", seed, got[k], want[k])
			}
		}
	}
}

func TestCurveOfSnapshot(t *testing.T) {
	var m Meter
	h := m.Host("h")
	for range 100 {
		h.Lease(time.Now(), true)
	}
	for range 100 {
		h.Return(time.Now(), time.Time{})
	}
	m.Host("h2").Multiplexed()
	s := m.Snapshot()
	curve := s.Hosts[0].Curve
	if len(curve) != curveSizes {
		t.Fatalf("the curve has %d sizes, want %d", len(curve), curveSizes)
	}
	for k, w := range curve {
		if want := (WhatIf{MaxIdle: k, Dials: 100, TimeWaits: 100 - uint64(k)}); w != want {
			t.Errorf("the curve has %+v, want %+v", w, want)
		}
	}
	if s.Hosts[1].Curve != nil || !s.Hosts[1].Multiplexed || s.Hosts[0].Multiplexed {
		t.Errorf("multiplexed: %v with a curve of %d, and %v with %d; want false with %d, and true with none",
			s.Hosts[0].Multiplexed, len(curve), s.Hosts[1].Multiplexed, len(s.Hosts[1].Curve), curveSizes)
	}
}
