package metrics

import (
	"sync/atomic"
	"testing"
	"time"
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

// The ledger and the ghost, when the ghost has what it needs.
func BenchmarkGhostHit(b *testing.B) {
	var m Meter
	h := m.Host("h:443")
	h.DialDone(Dial{Total: time.Millisecond})
	b.ReportAllocs()
	for b.Loop() {
		h.Lease(time.Now(), true)
		h.Return(time.Now(), time.Time{})
	}
}

// The ledger and the ghost, when the ghost must dial for most requests.
func BenchmarkGhostMiss(b *testing.B) {
	var m Meter
	h := m.Host("h:443")
	h.DialDone(Dial{Total: time.Microsecond})
	b.ReportAllocs()
	for b.Loop() {
		for range 10 {
			h.Lease(time.Now(), true)
		}
		for range 10 {
			h.Return(time.Now(), time.Time{})
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10, "ns/request")
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
