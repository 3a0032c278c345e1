package debug

import (
	"math"
	"testing"
	"time"

	"github.com/lastack/lastack/metrics"
)

func TestQuantile(t *testing.T) {
	bounds := []float64{1, 2, 4}
	for _, tt := range []struct {
		counts []uint64
		q      float64
		want   float64
		ok     bool
	}{
		{nil, 0.5, 0, false},
		{[]uint64{0, 0, 0, 0}, 0.5, 0, false},
		{[]uint64{1, 2}, 0.5, 0, false}, // not of these bounds
		{[]uint64{10, 0, 0, 0}, 0.5, 0.5, true},
		{[]uint64{0, 10, 0, 0}, 0.5, 1.5, true},
		{[]uint64{5, 0, 5, 0}, 0.5, 1, true},
		{[]uint64{5, 0, 5, 0}, 0.99, 3.96, true},
		{[]uint64{1, 0, 0, 99}, 0.99, 4, true}, // beyond the last bound
		{[]uint64{0, 0, 0, 1}, 0, 4, true},
	} {
		got, ok := quantile(metrics.Histogram{Bounds: bounds, Counts: tt.counts}, tt.q)
		if ok != tt.ok || math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%v of %v: %v, %v; want %v, %v", tt.q, tt.counts, got, ok, tt.want, tt.ok)
		}
	}
}

func TestSubtract(t *testing.T) {
	bounds := []float64{1}
	now := metrics.Histogram{Bounds: bounds, Counts: []uint64{5, 3}, Count: 8, Sum: 20}
	d := subtract(now, metrics.Histogram{Bounds: bounds, Counts: []uint64{1, 4}, Count: 5, Sum: 12})
	if d.Counts[0] != 4 || d.Counts[1] != 0 || d.Count != 3 || d.Sum != 8 {
		t.Errorf("%+v", d)
	}
	if d := subtract(now, metrics.Histogram{}); d.Count != 8 {
		t.Errorf("from nothing: %+v", d)
	}
	if d := subtract(now, metrics.Histogram{Counts: []uint64{1}}); d.Count != 0 {
		t.Errorf("of others: %+v", d)
	}
}

func TestWithin(t *testing.T) {
	start := time.Unix(1e9, 0)
	var h []sample
	for i := range 10 {
		h = append(h, sample{at: start.Add(time.Duration(i) * time.Second)})
	}
	for from, want := range map[int]int{-5: 10, 0: 10, 7: 3, 9: 1, 10: 0} {
		if got := len(within(h, start.Add(time.Duration(from)*time.Second))); got != want {
			t.Errorf("from %d s: %d, want %d", from, got, want)
		}
	}
}

func TestFormat(t *testing.T) {
	for got, want := range map[string]string{
		count(0): "0", count(-1234): "-1,234", count(28232): "28,232", count(uint64(math.MaxUint64)): "18,446,744,073,709,551,615",
		short(0): "0", short(900): "900", short(1500): "1.5k", short(28232): "28.2k", short(1e6): "1M", short(0.25): "0.25",
		seconds(0): "0 s", seconds(0.0000021): "2.1 µs", seconds(0.0032): "3.2 ms", seconds(75): "75 s", seconds(60): "1 min",
		seconds(900): "15 min", seconds(3 * 3600): "3 h", seconds(1.234): "1.23 s",
		part(1): "100 %", part(0.99999): "99.99 %", part(0.9984): "99.84 %", part(0.5): "50.0 %", part(0): "0.0 %", part(0.0001): "< 0.1 %",
		perSecond(10, 4*time.Second): "2.5", perSecond(10, 0): "0",
		lasting(0): "0 s", lasting(3 * time.Millisecond): "3 ms", lasting(4992 * time.Millisecond): "5 s", lasting(75 * time.Second): "75 s",
		lasting(time.Minute): "1 min", lasting(211 * time.Second): "3 min 31 s", lasting(5 * time.Minute): "5 min",
		lasting(192 * time.Minute): "3 h 12 min", lasting(time.Hour - time.Millisecond): "60 min", lasting(1500 * time.Hour): "1,500 h",
		soon(3.72): "4 s", soon(59.1): "1 min", soon(0): "0 s",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestGrid: a plot has a few lines across, whatever its values.
func TestGrid(t *testing.T) {
	for _, log := range []bool{false, true} {
		for _, top := range []float64{1e-9, 0.3, 1, 7, 10, 99, 12345, 1e12, 1e300} {
			p := &plot{log: log, series: []series{{points: []point{{0, top}}}}}
			top := p.top()
			lines := p.grid(top)
			if len(lines) < 1 || len(lines) > 12 {
				t.Errorf("log %v, up to %v: %v", log, top, lines)
			}
			for _, y := range lines {
				if h := p.height(y, top); !(h > 0 && h <= 1) {
					t.Errorf("log %v, up to %v: the line of %v stands at %v", log, top, y, h)
				}
			}
		}
	}
}
