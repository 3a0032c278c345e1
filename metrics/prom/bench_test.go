package prom_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lastack/lastack/internal/cputime"
	"github.com/lastack/lastack/metrics/prom"
)

// A scrape of a pool with 1,000 hosts, without what the Snapshot costs: with
// the default limit, and with each host told apart. Collect is what the
// Collector does, Gather has what client_golang adds. The CPU time is what a
// busy machine does not distort.
func BenchmarkScrape(b *testing.B) {
	source := hosts(1000)
	for name, max := range map[string]int{"limit=100": 0, "limit=1000": 1000} {
		b.Run("Collect/"+name, func(b *testing.B) {
			c := prom.NewCollector(source, prom.MaxHosts(max))
			ch := make(chan prometheus.Metric, 100_000)
			measure(b, func() {
				c.Collect(ch)
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
			})
		})
	}
}

func measure(b *testing.B, f func()) {
	f() // what is made once
	b.ReportAllocs()
	began := cputime.Used()
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64((cputime.Used()-began).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}
