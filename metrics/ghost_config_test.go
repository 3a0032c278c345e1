package metrics

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestGhostCheck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		ghosts []Ghost
		index  int // of the one that is wrong
		why    string
	}{
		{"none", nil, 0, ""},
		{"good", []Ghost{{Name: "before"}, {Name: "after", MaxIdlePerHost: -1}}, 0, ""},
		{"no name", []Ghost{{Name: "good"}, {}}, 1, "no name"},
		{"the first counts", []Ghost{{}, {Name: PerRequest}}, 0, "no name"},
		{"twice", []Ghost{{Name: "a"}, {Name: "b"}, {Name: "a"}}, 2, "another one"},
		{"a built-in's", []Ghost{{Name: NetHTTPDefault}}, 0, "every Meter has"},
		{"the other built-in's", []Ghost{{Name: PerRequest}}, 0, "every Meter has"},
	} {
		m := Meter{Ghosts: tt.ghosts}
		err := m.Check()
		if tt.why == "" {
			if err != nil {
				t.Errorf("%s: Check() = %v", tt.name, err)
			}
			continue
		}
		e, ok := errors.AsType[*GhostError](err)
		if !ok || e.Index != tt.index || e.Name != tt.ghosts[tt.index].Name || !strings.Contains(e.Why, tt.why) {
			t.Errorf("%s: Check() = %v (%#v), want number %d, %q", tt.name, err, e, tt.index, tt.why)
		}
	}
}

// TestGhosts has five requests come at once, twice, and then nothing.
func TestGhosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := Meter{Ghosts: []Ghost{
			{Name: "before", MaxIdlePerHost: 4},
			{Name: "none", MaxIdlePerHost: -1},
			{Name: "short", IdleTimeout: time.Second},
			{Name: "before"}, // left out
			{Name: "in all", MaxIdlePerHost: 5, MaxIdle: 3},
		}}
		h := m.Host("h")
		h.Rested(time.Second) // so "short" may say so
		h.Rested(time.Millisecond)
		look := func(what string, at Snapshot, have, dial, stand map[string]uint64) {
			t.Helper()
			for name, got := range map[string]map[string]uint64{"have": at.WouldHave, "dial": at.WouldDial, "stand": at.WouldStand} {
				want := map[string]map[string]uint64{"have": have, "dial": dial, "stand": stand}[name]
				if len(got) != len(want) {
					t.Errorf("%s: would %s %v, want %v", what, name, got, want)
				}
				for model, n := range want {
					if got[model] != n {
						t.Errorf("%s: would %s: %s %d, want %d", what, name, model, got[model], n)
					}
				}
			}
		}
		for range 2 {
			for range 5 {
				h.Lease(time.Now(), true)
			}
			time.Sleep(time.Millisecond)
			for range 5 {
				h.Return(time.Now(), time.Time{})
			}
			time.Sleep(time.Millisecond)
		}
		closed := map[string]uint64{PerRequest: 10, NetHTTPDefault: 6, "before": 2, "none": 10, "short": 6, "in all": 4}
		dialled := map[string]uint64{PerRequest: 10, NetHTTPDefault: 8, "before": 6, "none": 10, "short": 8, "in all": 7}
		s := m.Snapshot()
		look("at first", s, closed, dialled, closed)
		look("at first, the host", s.Hosts[0].Snapshot, closed, dialled, closed)

		time.Sleep(2 * time.Second)
		closed["short"] = 8
		look("after two seconds", m.Snapshot(), closed, dialled, closed)

		time.Sleep(time.Minute)
		look("after a minute", m.Snapshot(), closed, dialled, map[string]uint64{PerRequest: 0, NetHTTPDefault: 0, "before": 0, "none": 0, "short": 0, "in all": 0})
	})
}

func TestMinute(t *testing.T) {
	var m minute
	m.add(100e9)
	m.add(130e9)
	m.add(129e9) // counted as of 130
	for _, tt := range []struct {
		second int64
		want   uint64
	}{{130, 3}, {159, 3}, {160, 2}, {150, 2}, {189, 2}, {190, 0}, {1000, 0}} {
		if got := m.read(tt.second * 1e9); got != tt.want {
			t.Errorf("at %d s: %d, want %d", tt.second, got, tt.want)
		}
	}
}

// TestStanding: ours count for a minute too.
func TestStanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Meter
		time.Sleep(time.Second)
		m.Host("a").Born(true).TimeWait()
		time.Sleep(30 * time.Second)
		c := m.Host("b").Born(true)
		c.TimeWait()
		c.TimeWait()
		for _, want := range []uint64{2, 1, 0} {
			if s := m.Snapshot(); s.Standing != want || s.TimeWaits != 2 || s.Hosts[1].Standing != min(want, 1) {
				t.Errorf("standing: %d, of host b %d; want %d", s.Standing, s.Hosts[1].Standing, want)
			}
			time.Sleep(31 * time.Second)
		}
	})
}
