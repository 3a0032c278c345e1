package metrics

import (
	"fmt"
	"reflect"
	"testing"
	"time"
)

func TestLeakSites(t *testing.T) {
	var m Meter
	a, b := m.Host("a"), m.Host("b")
	a.Leak("get.go:7 app.get")
	b.Leak("get.go:7 app.get")
	b.Held("list.go:9 app.list")
	b.Held("get.go:7 app.get")
	b.Leak("")
	s := m.Snapshot()
	want := []LeakSite{{"get.go:7 app.get", 2, 1}, {unknownSite, 1, 0}, {"list.go:9 app.list", 0, 1}}
	if !reflect.DeepEqual(s.LeakedAt, want) {
		t.Errorf("in all: %v, want %v", s.LeakedAt, want)
	}
	if got := s.Hosts[0].LeakedAt; !reflect.DeepEqual(got, []LeakSite{{"get.go:7 app.get", 1, 0}}) {
		t.Errorf("of the first host: %v", got)
	}
}

// However many sites there are, those that are shown have all that was counted.
func TestLeakSitesAreBounded(t *testing.T) {
	var m Meter
	const hosts, sites = 5, 40
	for i := range hosts {
		h := m.Host(fmt.Sprint(i))
		for j := range sites {
			h.Leak(fmt.Sprint(i*sites + j))
			h.Held(fmt.Sprint(i*sites + j))
		}
	}
	h := m.Host("one")
	for i := range 3 * maxSites {
		h.Leak(fmt.Sprint("more ", i))
	}
	s := m.Snapshot()
	check := func(name string, s Snapshot) {
		var leaks, held uint64
		for _, l := range s.LeakedAt {
			leaks += l.Leak
			held += l.Held
		}
		if len(s.LeakedAt) > maxSites+1 || leaks != s.Leaks || held != s.HeldBodies {
			t.Errorf("%s: %d sites with %d leaks of %d and %d held of %d", name, len(s.LeakedAt), leaks, s.Leaks, held, s.HeldBodies)
		}
	}
	check("in all", s)
	for _, h := range s.Hosts {
		check(h.Name, h.Snapshot)
	}
}

func TestKeepAlive(t *testing.T) {
	var m Meter
	h := m.Host("h")
	for _, k := range []KeepAlive{{}, {5 * time.Second, false}, {3 * time.Second, true}, {}} {
		h.KeepAlive(k)
		if got := m.Snapshot().Hosts[0].KeepAlive; got != k {
			t.Errorf("got %v, want %v", got, k)
		}
	}
}
