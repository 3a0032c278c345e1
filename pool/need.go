package pool

import (
	"slices"
	"time"

	"github.com/lastack/lastack/metrics"
)

// A need is how many connections a group needs: as many as were busy at a time
// during the last IdleTimeout. What is kept beyond that leaves by halves, so
// that a pool shrinks after a burst also where the order of lending keeps every
// connection in use, and not all of it at once.
//
// It is guarded by the group's mu.
type need struct {
	busy  int       // connections that are not at rest and not leaving
	peaks [5]int    // the most, in each of the last quarters of an IdleTimeout
	turn  time.Time // when the current one, the first of peaks, ends
}

// grew notes that there is one more connection, and so many in all. Somebody
// wanted it, though no request may have come for it yet.
func (n *need) grew(kept int) {
	n.busy++
	n.peaks[0] = max(n.peaks[0], kept)
}

// woke notes that a connection has become busy.
func (n *need) woke() {
	n.busy++
	n.peaks[0] = max(n.peaks[0], n.busy)
}

// turned begins the next quarter if it is time, and reports whether it was.
func (n *need) turned(now time.Time, idle time.Duration) bool {
	switch {
	case n.turn.IsZero():
		n.turn = now.Add(idle / 4)
		return false
	case now.Before(n.turn):
		return false
	}
	quarter := max(1, idle/4)
	passed := 1 + int(min(now.Sub(n.turn)/quarter, time.Duration(len(n.peaks))))
	for range passed {
		copy(n.peaks[1:], n.peaks[:])
		n.peaks[0] = n.busy
	}
	n.turn = now.Add(quarter)
	return true
}

// excessLocked has half of the connections leave that are not needed, those
// first that have rested for the longest time. The caller closes them.
func (g *group) excessLocked(now time.Time) []*conn {
	cfg := &g.t.cfg
	if cfg.idle == 0 || !g.need.turned(now, cfg.idle) {
		return nil
	}
	n := g.kept - max(slices.Max(g.need.peaks[:]), cfg.minConns)
	if n <= 0 {
		return nil
	}
	var leave []*conn
	for c := range g.restingLocked {
		if !c.retired {
			leave = append(leave, c)
		}
	}
	slices.SortFunc(leave, func(a, b *conn) int { return a.rested.Compare(b.rested) })
	leave = leave[:min((n+1)/2, len(leave))]
	for _, c := range leave {
		g.leaveLocked(c, metrics.Excess)
	}
	return leave
}
