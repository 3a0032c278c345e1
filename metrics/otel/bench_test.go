package otel_test

import (
	"testing"
	"time"

	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/otel"
)

// What the Exporter adds to each request, without what the SDK does with it.
func BenchmarkUsed(b *testing.B) {
	var m metrics.Meter
	e, err := otel.New(provider, m.Snapshot)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			e.Used("example.com:443", time.Millisecond)
		}
	})
}
