package metrics

import (
	"math/rand/v2"
	"slices"
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
		got := make([]WhatIf, c.sizes())
		c.read(got, true)
		for k := range want {
			last := got[min(k, len(got)-1)]
			want[k].MaxIdle = k
			if last.MaxIdle = k; last != want[k] {
				t.Fatalf("seed %d: the curve of %d has %+v, a pool of that size %+v", seed, len(got), last, want[k])
			}
		}
		if n := len(got); n > 2 && n < curveSizes && got[n-2].TimeWaits == got[n-1].TimeWaits {
			t.Fatalf("seed %d: the curve goes on after %+v", seed, got[n-2])
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
	for range 3 {
		m.Host("h3").Lease(time.Now(), true)
	}
	for range 3 {
		m.Host("h3").Return(time.Now(), time.Time{})
	}
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
	want := []WhatIf{{0, 3, 3}, {1, 3, 2}, {2, 3, 1}, {3, 3, 0}}
	if got := s.Hosts[2].Curve; !slices.Equal(got, want) {
		t.Errorf("three requests at once have the curve %+v, want %+v, for more would do no better", got, want)
	}
}
