package prom_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lastack/lastack/internal/cputime"
	"github.com/lastack/lastack/metrics/prom"
)

// A scrape of a pool with 1,000 hosts, without what the Snapshot costs: with
// the default limit, and with each host told apart. Collect is what the
// Collector does, Gather has what client_golang adds to it. The CPU time is what a
// busy machine does not distort.
func BenchmarkScrape(b *testing.B) {
	source := hosts(1000)
	for name, max := range map[string]int{"limit=100": 0, "limit=1000": 1000} {
		b.Run("Collect/"+name, func(b *testing.B) {
			c := prom.NewCollector(source, prom.MaxHosts(max))
			ch := make(chan prometheus.Metric, 100_000)
			measure(b, func() { c.Collect(ch) }, func() {
				for range len(ch) {
					<-ch
				}
			})
		})
		b.Run("Gather/"+name, func(b *testing.B) {
			r := prometheus.NewRegistry()
			r.MustRegister(prom.NewCollector(source, prom.MaxHosts(max)))
			measure(b, func() {
				if _, err := r.Gather(); err != nil {
					b.Fatal(err)
				}
			}, func() {})
		})
	}
}

// measure measures f, and not what comes after each.
func measure(b *testing.B, f, after func()) {
	f() // what is made once
	after()
	b.ReportAllocs()
	var used time.Duration
	for b.Loop() {
		began := cputime.Used()
		f()
		used += cputime.Used() - began
		b.StopTimer()
		after()
		b.StartTimer()
	}
	b.ReportMetric(used.Seconds()*1000/float64(b.N), "cpu-ms/op")
}
