package oteltest

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/otel/exporters/prometheus"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/otel"
	"github.com/lastack/lastack/metrics/prom"
)

// One dashboard serves both ways: what OpenTelemetry's own exporter for
// Prometheus makes of our instruments is what our collector has.
func TestTranslation(t *testing.T) {
	for name, opts := range map[string]struct {
		otel []otel.Option
		prom []prom.Option
	}{
		"default": {},
		"named":   {[]otel.Option{otel.Pool("p")}, []prom.Option{prom.Pool("p")}},
	} {
		t.Run(name, func(t *testing.T) {
			// Distributions are recorded, and read, in two ways. In both the host
			// has them once, in the range of 5 to 10 seconds.
			source := func() metrics.Snapshot {
				s := full()
				h := &s.Hosts[0]
				for to, v := range map[*metrics.Histogram]float64{
					&h.DNSTime: 1, &h.TCPTime: 2, &h.TLSTime: 3, &h.DialTime: 6,
					&h.WaitTime: 7, &h.UseTime: 8, &h.LifeTime: 9, &h.PerConn: 10,
				} {
					*to = metrics.Histogram{Bounds: []float64{v}, Counts: []uint64{1, 0}, Count: 1, Sum: v}
				}
				return s
			}
			theirs := prometheus.NewRegistry()
			exporter, err := bridge.New(bridge.WithRegisterer(theirs), bridge.WithoutScopeInfo(), bridge.WithoutTargetInfo())
			if err != nil {
				t.Fatal(err)
			}
			e, err := otel.New(sdk.NewMeterProvider(sdk.WithReader(exporter)), source, opts.otel...)
			if err != nil {
				t.Fatal(err)
			}
			observe(e, "example.com:443")
			ours := prometheus.NewRegistry()
			ours.MustRegister(prom.NewCollector(source, opts.prom...))

			got, want := scrape(t, ours), scrape(t, theirs)
			if !maps.Equal(got, want) {
				for series, n := range want {
					if v, ok := got[series]; !ok || v != n {
						t.Errorf("OpenTelemetry has %s %v, and the collector %v (%v)", series, n, v, ok)
					}
				}
				for series := range got {
					if _, ok := want[series]; !ok {
						t.Errorf("only the collector has %s", series)
					}
				}
			}
			if len(got) < 30 {
				t.Errorf("only %d series", len(got))
			}
		})
	}
}

// scrape returns what a registry has: type, meaning, name and labels, without
// those that are empty.
func scrape(t *testing.T, r prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				if l.GetValue() != "" {
					labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
				}
			}
			series := fmt.Sprintf("%v %s{%s} (%s)", f.GetType(), f.GetName(), strings.Join(labels, ","), f.GetHelp())
			switch {
			case m.Counter != nil:
				all[series] = m.Counter.GetValue()
			case m.Gauge != nil:
				all[series] = m.Gauge.GetValue()
			case m.Histogram != nil:
				all[series+" count"] = float64(m.Histogram.GetSampleCount())
				all[series+" sum"] = m.Histogram.GetSampleSum()
			}
		}
	}
	return all
}
