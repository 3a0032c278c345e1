package debug

import (
	"time"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// A sample is what the plots need of a Snapshot.
type sample struct {
	at time.Time

	// The TIME_WAITs that stand, and would with each model, to the host with
	// the most: a limit of ports is one of a destination.
	standing   uint64
	wouldStand map[string]uint64

	busy, resting, dialing, waiting int64

	// Counts from the beginning.
	requests, leases, reused, dials, dialErrors, timeouts, timeWaits uint64

	ended map[linger.Ending]uint64
	dial  metrics.Histogram
	wait  metrics.Histogram
}

func newSample(at time.Time, s metrics.Snapshot) sample {
	k := sample{
		at:         at,
		standing:   s.Standing,
		wouldStand: s.WouldStand,
		busy:       s.Busy,
		resting:    s.Resting,
		dialing:    s.Dialing,
		waiting:    s.Waiting,
		requests:   s.Requests,
		leases:     s.Leases,
		reused:     s.Reused,
		dials:      s.Dials,
		dialErrors: s.DialErrors,
		timeouts:   s.Timeouts,
		timeWaits:  s.TimeWaits,
		ended:      s.Ended,
		dial:       s.DialTime,
		wait:       s.WaitTime,
	}
	if len(s.Hosts) > 0 {
		k.standing, k.wouldStand = 0, make(map[string]uint64)
		for _, h := range s.Hosts {
			k.standing = max(k.standing, h.Standing)
			for model, n := range h.WouldStand {
				k.wouldStand[model] = max(k.wouldStand[model], n)
			}
		}
	}
	return k
}

// within returns the samples since from. The first of them is what the others'
// counts are subtracted from.
func within(history []sample, from time.Time) []sample {
	for i, k := range history {
		if !k.at.Before(from) {
			return history[i:]
		}
	}
	return nil
}

// since is now - before, or 0 if it has become less, as after a restart of
// what counts.
func since(now, before uint64) uint64 {
	if now < before {
		return 0
	}
	return now - before
}

// subtract returns what was recorded in now and not yet in before.
func subtract(now, before metrics.Histogram) metrics.Histogram {
	if len(before.Counts) == 0 {
		return now
	}
	if len(before.Counts) != len(now.Counts) {
		return metrics.Histogram{}
	}
	d := metrics.Histogram{
		Bounds: now.Bounds,
		Counts: make([]uint64, len(now.Counts)),
		Count:  since(now.Count, before.Count),
		Sum:    now.Sum - before.Sum,
	}
	for i := range d.Counts {
		d.Counts[i] = since(now.Counts[i], before.Counts[i])
	}
	return d
}

// quantile returns the value below which the part q of h lies, as exactly as
// its ranges tell. It is false if nothing was recorded. What lies beyond the
// last bound counts as that bound.
func quantile(h metrics.Histogram, q float64) (float64, bool) {
	var total uint64
	for _, n := range h.Counts {
		total += n
	}
	if total == 0 || len(h.Bounds) == 0 || len(h.Counts) != len(h.Bounds)+1 {
		return 0, false
	}
	rank := q * float64(total)
	below := 0.0
	for i, n := range h.Counts[:len(h.Bounds)] {
		in := float64(n)
		if n > 0 && below+in >= rank {
			low := 0.0
			if i > 0 {
				low = h.Bounds[i-1]
			}
			return low + (h.Bounds[i]-low)*(rank-below)/in, true
		}
		below += in
	}
	return h.Bounds[len(h.Bounds)-1], true
}
