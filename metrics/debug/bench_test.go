package debug_test

import (
	"testing"

	"github.com/lastack/lastack/metrics/debug"
	"github.com/lastack/lastack/metrics/debug/internal/sample"
)

// BenchmarkPage is one answer, while nobody else looks more than once a second.
func BenchmarkPage(b *testing.B) {
	p := page(b, debug.Config{Sources: []debug.Source{{Name: "payments", Accounts: sample.Trouble()}}, Diagnose: sample.FullMachine})
	for _, format := range []string{"html", "text", "json"} {
		b.Run(format, func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				size = ask(p, "GET", "/?format="+format).Body.Len()
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}
