package oteltest

import (
	"fmt"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/otel"
)

// What a request costs with the SDK.
func BenchmarkUsed(b *testing.B) {
	e, err := otel.New(sdk.NewMeterProvider(sdk.WithReader(sdk.NewManualReader())), full)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		e.Used("example.com:443", time.Millisecond)
	}
}

// A collection of a pool with 1,000 hosts, the SDK's part included.
func BenchmarkCollect(b *testing.B) {
	var s metrics.Snapshot
	for i := range 1000 {
		h := full().Hosts[0]
		h.Name = fmt.Sprintf("host-%d.example.com:443", i)
		s.Hosts = append(s.Hosts, h)
	}
	reader := sdk.NewManualReader()
	if _, err := otel.New(sdk.NewMeterProvider(sdk.WithReader(reader)), func() metrics.Snapshot { return s }); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var data metricdata.ResourceMetrics
		if err := reader.Collect(b.Context(), &data); err != nil {
			b.Fatal(err)
		}
	}
}
