package metrics

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestRecorder holds what a recorder counts against a count by hand, with values
// on, above and below each bound.
func TestRecorder(t *testing.T) {
	for _, s := range []*scale{dialScale, useScale, lifeScale, perConnScale} {
		values := []int64{0, -5, 1 << 60}
		for _, end := range s.ends {
			values = append(values, end-1, end, end+1)
		}
		for range 1000 {
			values = append(values, rand.Int64N(3*s.ends[rand.IntN(len(s.ends))]+1))
		}
		var r recorder
		want := make([]uint64, ranges)
		sum := int64(0)
		for _, v := range values {
			r.record(s, v)
			v = max(v, 0)
			i := slices.IndexFunc(s.bounds[:], func(b float64) bool { return float64(v) <= b*s.unit+0.25 })
			if i < 0 {
				i = len(s.bounds)
			}
			want[i]++
			sum += v
		}
		h := r.read(s)
		if !slices.Equal(h.Counts, want) || h.Count != uint64(len(values)) || h.Sum != float64(sum)/s.unit {
			t.Errorf("bounds %v:\ncounted %v (%d, sum %v)\nwant    %v (%d, sum %v)",
				s.bounds, h.Counts, h.Count, h.Sum, want, len(values), float64(sum)/s.unit)
		}
		if !slices.IsSorted(h.Bounds) {
			t.Errorf("bounds %v", h.Bounds)
		}
	}
}

func TestRecorderDoesNotAllocate(t *testing.T) {
	var r recorder
	if n := testing.AllocsPerRun(100, func() { r.record(useScale, int64(time.Millisecond)) }); n != 0 {
		t.Errorf("record allocates %v times", n)
	}
}

// TestHistogramsAddUp: those of a Snapshot are the sums of its hosts', and the
// caller's own.
func TestHistogramsAddUp(t *testing.T) {
	var m Meter
	for i, name := range []string{"a", "b", "c"} {
		h := m.Host(name)
		h.Wait()
		h.Waited(time.Duration(i)*time.Second, i == 2, nil)
		h.DialStart(AllBusy)
		h.DialDone(Dial{DNS: time.Millisecond, TCP: 2 * time.Millisecond, Total: 4 * time.Millisecond})
	}
	s := m.Snapshot()
	if s.WaitTime.Count != 3 || s.WaitTime.Sum != 3 || s.Timeouts != 1 || s.Waiting != 0 || s.DNSTime.Count != 3 || s.TLSTime.Count != 0 || s.TLSTime.Counts != nil {
		t.Errorf("%+v", s)
	}
	s.Hosts[0].WaitTime.Bounds[0], s.Hosts[0].WaitTime.Counts[0], s.WaitTime.Counts[0] = 9, 9, 9
	if again := m.Snapshot(); again.WaitTime.Bounds[0] == 9 || again.Hosts[0].WaitTime.Counts[0] == 9 || again.Hosts[1].WaitTime.Bounds[0] == 9 || again.WaitTime.Counts[0] == 9 {
		t.Errorf("a change to a Snapshot shows in the next: %+v", again.WaitTime)
	}
	if b, err := json.Marshal(s.TLSTime); err != nil || string(b) != `{"count":0,"sum":0}` {
		t.Errorf("an empty histogram is %s, %v", b, err)
	}
}
