package metrics

import (
	"slices"
	"sync/atomic"
	"time"
)

// A Histogram says how many of the values that were recorded lie in each
// range. It is the caller's, who may change it.
type Histogram struct {
	// Bounds are the upper ends of the ranges, ascending; a value that equals
	// a bound lies below it. Times are in seconds. One more range, without an
	// end, follows the last. The histograms of one Snapshot share them.
	Bounds []float64 `json:"bounds,omitempty"`

	// Counts has the number of values in each range: one more than Bounds.
	// Nil: nothing was recorded.
	Counts []uint64 `json:"counts,omitempty"`

	// Count and Sum are of all values.
	Count uint64  `json:"count"`
	Sum   float64 `json:"sum"`
}

// A scale is the ranges of a histogram, and what one of its units is.
type scale struct {
	bounds [ranges - 1]float64 // as a Histogram has them
	ends   [ranges - 1]int64   // the same, as they are recorded
	unit   float64             // how many of what is recorded are one of Bounds
}

// ranges is how many each scale has, so that a recorder needs no slice.
const ranges = 17

func newScale(unit float64, bounds [ranges - 1]float64) *scale {
	s := &scale{bounds: bounds, unit: unit}
	for i, b := range bounds {
		s.ends[i] = int64(b*unit + 0.5)
	}
	return s
}

const inSeconds = float64(time.Second)

var (
	// dialScale is for dials and their phases, and for waiting: from a
	// loopback's tenth of a millisecond to the longest that people wait.
	dialScale = newScale(inSeconds, [...]float64{0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10})

	// useScale is for requests.
	useScale = newScale(inSeconds, [...]float64{0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60})

	// lifeScale has the bounds that OpenTelemetry advises for
	// http.client.connection.duration, and two more for connections that live
	// as long as a pool lets them.
	lifeScale = newScale(inSeconds, [...]float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 1800, 7200})

	// remainingScale is for what is left of a TIME_WAIT's minute.
	remainingScale = newScale(inSeconds, [...]float64{4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 120})

	// perConnScale is for requests of a connection; the first range is those
	// that have served none.
	perConnScale = newScale(1, [...]float64{0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000, 100_000})
)

// A recorder is a histogram in the making. It takes two atomic additions for a
// value, and allocates for the first one only: most hosts never wait, or have no
// TLS. The zero recorder is ready.
type recorder struct{ values atomic.Pointer[values] }

type values struct {
	counts [ranges]atomic.Uint64
	sum    atomic.Int64
}

// begin returns the values of a recorder that has none yet, unless another
// goroutine was faster.
func (r *recorder) begin() *values {
	r.values.CompareAndSwap(nil, new(values))
	return r.values.Load()
}

// record counts v, in the scale's recorded unit: nanoseconds for times.
func (r *recorder) record(s *scale, v int64) {
	v = max(v, 0)
	// Halving by hand: the compiler makes conditional moves of it.
	i := 0
	for step := (ranges - 1) / 2; step > 0; step /= 2 {
		if v > s.ends[i+step-1] {
			i += step
		}
	}
	if v > s.ends[i] {
		i++
	}
	all := r.values.Load()
	if all == nil {
		all = r.begin()
	}
	all.counts[i].Add(1)
	all.sum.Add(v)
}

// read returns what was recorded.
func (r *recorder) read(s *scale) Histogram {
	var counts [ranges]uint64
	n, sum := r.load(&counts)
	if n == 0 {
		return Histogram{}
	}
	return s.histogram(n, sum, slices.Clone(s.bounds[:]), slices.Clone(counts[:]))
}

// load returns what was recorded, and how many there are in each range.
func (r *recorder) load(counts *[ranges]uint64) (n uint64, sum int64) {
	all := r.values.Load()
	if all == nil {
		return 0, 0
	}
	for i := range all.counts {
		c := all.counts[i].Load()
		counts[i] = c
		n += c
	}
	return n, all.sum.Load()
}

// histogram returns what has been recorded in ranges of that scale.
func (s *scale) histogram(n uint64, sum int64, bounds []float64, counts []uint64) Histogram {
	return Histogram{Bounds: bounds, Counts: counts, Count: n, Sum: float64(sum) / s.unit}
}

// add adds the values of g, whose bounds are the same, to those of h.
func (h *Histogram) add(g Histogram) {
	if g.Count == 0 {
		return
	}
	if h.Count == 0 {
		h.Bounds, h.Counts = g.Bounds, slices.Clone(g.Counts) // both are of one Snapshot
	} else {
		for i, n := range g.Counts {
			h.Counts[i] += n
		}
	}
	h.Count += g.Count
	h.Sum += g.Sum
}

// recorders are the histograms of one host.
type recorders struct {
	dns, tcp, tls, dial, wait, use, life, perConn recorder
}

// dialed records a dial. A phase that there was not is not recorded, nor is how
// long a dial took that has failed: that says more of limits than of dials.
func (r *recorders) dialed(d Dial) {
	for _, phase := range [...]struct {
		r    *recorder
		took time.Duration
	}{{&r.dns, d.DNS}, {&r.tcp, d.TCP}, {&r.tls, d.TLS}} {
		if phase.took > 0 {
			phase.r.record(dialScale, int64(phase.took))
		}
	}
	if d.Err == nil {
		r.dial.record(dialScale, int64(d.Total))
	}
}

// bounds are the Bounds of one Snapshot's histograms, a piece of memory for each
// kind: a thousand hosts have eight thousand histograms.
type bounds struct{ dial, use, life, perConn [ranges - 1]float64 }

func newBounds() *bounds {
	return &bounds{dialScale.bounds, useScale.bounds, lifeScale.bounds, perConnScale.bounds}
}

// read fills in the histograms of s.
func (r *recorders) read(s *Snapshot, b *bounds) {
	all := [...]struct {
		to     *Histogram
		from   *recorder
		scale  *scale
		bounds *[ranges - 1]float64
	}{
		{&s.DNSTime, &r.dns, dialScale, &b.dial}, {&s.TCPTime, &r.tcp, dialScale, &b.dial},
		{&s.TLSTime, &r.tls, dialScale, &b.dial}, {&s.DialTime, &r.dial, dialScale, &b.dial},
		{&s.WaitTime, &r.wait, dialScale, &b.dial}, {&s.UseTime, &r.use, useScale, &b.use},
		{&s.LifeTime, &r.life, lifeScale, &b.life}, {&s.PerConn, &r.perConn, perConnScale, &b.perConn},
	}
	var counts [len(all)][ranges]uint64
	var numbers [len(all)]uint64
	var sums [len(all)]int64
	used := 0
	for i, h := range all {
		if numbers[i], sums[i] = h.from.load(&counts[i]); numbers[i] > 0 {
			used++
		}
	}
	// One piece of memory for all counts makes a scrape of many hosts cheaper.
	room := make([][ranges]uint64, 0, used)
	for i, h := range all {
		if numbers[i] > 0 {
			room = append(room, counts[i])
			*h.to = h.scale.histogram(numbers[i], sums[i], h.bounds[:], room[len(room)-1][:])
		}
	}
}

// histograms returns those of the Snapshot, in a fixed order.
func (s *Snapshot) histograms() [8]*Histogram {
	return [...]*Histogram{&s.DNSTime, &s.TCPTime, &s.TLSTime, &s.DialTime, &s.WaitTime, &s.UseTime, &s.LifeTime, &s.PerConn}
}
