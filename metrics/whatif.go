package metrics

import "math/bits"

// curveSizes is how many pool sizes the curve is of at most: 0, 1, 2, …
const curveSizes = 64

// A WhatIf says what a pool that keeps up to MaxIdle resting connections for a
// host, however long they rest, would have done with the requests there were,
// if its dials took no time.
type WhatIf struct {
	MaxIdle   int    `json:"max_idle"`
	Dials     uint64 `json:"dials"`
	TimeWaits uint64 `json:"time_waits"`
}

// A curve follows the pools of all sizes at once. Let i(k) be how many
// connections rest in a pool that lends the newest and keeps up to k. A pool
// that is one larger has as many resting, or one more: i(k) - i(k-1) is 0 or 1,
// whatever happens. So all of them fit in one word, where bit k-1 stands for
// that difference.
//
// A lease takes a connection from each pool that has one. Those that have none
// are 0, 1, … up to the first bit that is set; they dial, and for all others
// that bit is the one that goes. A return gives each pool one. Those that are
// full are 0, 1, … up to the first bit that is not set; they close it, and for
// all others that bit is the one that comes.
//
// This is what Mattson's stack algorithm is for caches. It knows the order of
// events and not their times.
type curve struct {
	diff uint64

	counts *curveCounts // nil: there has been no lease

	most int // the largest pool that had no room, but for curveSizes
}

// The counts of a curve are by the largest pool that dials for a lease, and that
// has no room for a return; all smaller ones do so too.
type curveCounts struct{ dials, closes [curveSizes + 1]uint64 }

func (c *curve) lease() {
	if c.counts == nil {
		c.counts = new(curveCounts) // hosts that only multiplex have none
	}
	c.counts.dials[bits.TrailingZeros64(c.diff)]++
	c.diff &= c.diff - 1
}

func (c *curve) giveBack() {
	k := bits.TrailingZeros64(^c.diff)
	c.counts.closes[k]++
	if k > c.most && k < curveSizes {
		c.most = k
	}
	c.diff |= c.diff + 1
}

// sizes returns how many sizes there are to read: up to the first that always
// had room. All larger ones have as many resting at any time, and do the same.
func (c *curve) sizes() int { return min(c.most+2, curveSizes) }

// read fills w, which has a place for each of [curve.sizes]. Without timeWaits
// nothing is claimed of what the closed connections leave.
func (c *curve) read(w []WhatIf, timeWaits bool) {
	n := c.counts
	if n == nil {
		n = new(curveCounts)
	}
	dials, closes := n.dials[curveSizes], n.closes[curveSizes]
	for k := len(w) - 1; k >= 0; k-- {
		dials += n.dials[k]
		closes += n.closes[k]
		w[k] = WhatIf{MaxIdle: k, Dials: dials}
		if timeWaits {
			w[k].TimeWaits = closes
		}
	}
}
