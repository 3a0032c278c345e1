package metrics

import (
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/cputime"
	"github.com/lastack/lastack/linger"
)

// The ledger alone: the host is multiplexed, so no ghost is fed.
func BenchmarkLedger(b *testing.B) {
	var m Meter
	h := m.Host("h:443")
	h.Multiplexed()
	b.ReportAllocs()
	for b.Loop() {
		h.Lease(time.Now(), true)
		h.Return(time.Now(), time.Time{})
	}
}

// The ledger of a request, as in BenchmarkLedgerOfRequest, with the ghosts and
// the curve: when the ghosts have what is needed, and when they must dial for
// most requests. What the ghosts do for a request in their own time is included.
func BenchmarkGhosts(b *testing.B) {
	for _, bb := range []struct {
		name   string
		ghosts []Ghost
		burst  int
	}{
		{"built-in/hit", nil, 1},
		{"built-in/miss", nil, 10},
		{"configured/hit", []Ghost{{Name: "before", MaxIdlePerHost: 10}}, 1},
		{"configured/miss", []Ghost{{Name: "before", MaxIdlePerHost: 10}}, 20},
	} {
		b.Run(bb.name, func(b *testing.B) {
			m := Meter{Ghosts: bb.ghosts}
			h := m.Host("h:443")
			h.DialDone(Dial{Total: time.Microsecond})
			c := h.Born(true)
			at := time.Now()
			b.ReportAllocs()
			used := cputime.Used()
			for n := 0; b.Loop(); n++ {
				if n%bb.burst > 0 {
					continue
				}
				for range bb.burst {
					at = at.Add(10 * time.Microsecond)
					h.Lease(at, true)
					c.Leased(at)
				}
				for range bb.burst {
					leased := at
					at = at.Add(10 * time.Microsecond)
					h.Return(at, leased)
				}
			}
			b.ReportMetric(float64(cputime.Used()-used)/float64(b.N), "cpu-ns/op")
		})
	}
}

// The ghosts and the curve by themselves.
func BenchmarkGhostsAlone(b *testing.B) {
	gs := newGhosts([]Ghost{{Name: "before", MaxIdlePerHost: 10}})
	h := gs.host(new(keepAlive))
	gs.step(event{at: 1, ghost: h, kind: dialed})
	now := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		now += 50_000
		gs.step(event{at: now, ghost: h, kind: leased})
		now += 50_000
		gs.step(event{at: now, ghost: h, kind: returned})
	}
}

// All goroutines on one host, and nothing but Lease and Return: worse than a
// pool can do.
func BenchmarkParallel(b *testing.B) {
	for _, goroutines := range []int{1, 4, 16} { // for each processor
		b.Run(map[int]string{1: "1x", 4: "4x", 16: "16x"}[goroutines], func(b *testing.B) {
			var m Meter
			h := m.Host("h:443")
			h.DialDone(Dial{Total: time.Millisecond})
			b.SetParallelism(goroutines)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					h.Lease(time.Now(), true)
					h.Return(time.Now(), time.Time{})
				}
			})
		})
	}
}

// The gauges that a request moves.
func BenchmarkRestBusy(b *testing.B) {
	var m Meter
	c := m.Host("h:443").Born(true)
	b.ReportAllocs()
	for b.Loop() {
		c.Rest()
		c.Busy()
	}
}

func BenchmarkRestBusyParallel(b *testing.B) {
	var m Meter
	h := m.Host("h:443")
	b.SetParallelism(16)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c := h.Born(true)
		for pb.Next() {
			c.Rest()
			c.Busy()
		}
	})
}

func BenchmarkHost(b *testing.B) {
	var m Meter
	m.Host("example.com:443")
	var name atomic.Value
	name.Store("example.com:443")
	b.ReportAllocs()
	for b.Loop() {
		m.Host(name.Load().(string))
	}
}

// BenchmarkBorn is a connection's account, beside those of others that are there.
func BenchmarkBorn(b *testing.B) {
	for _, n := range []int{0, 10 * maxAlive} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			var m Meter
			h := m.Host("h:443")
			var others []*Conn
			for range n {
				others = append(others, h.Born(true))
			}
			for b.Loop() {
				h.Born(true).Ended(linger.PeerFirst, false)
			}
			runtime.KeepAlive(others)
		})
	}
}
