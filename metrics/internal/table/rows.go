package table

import (
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// The bounds are those of package metrics, so that the counts that others keep
// can be told by the same dashboards; but for lifeBounds, which are those that
// OpenTelemetry's conventions give http.client.connection.duration. The
// accounts have two more behind them.
var (
	dialBounds     = []float64{0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10}
	useBounds      = []float64{0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60}
	lifeBounds     = []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300}
	requestsBounds = []float64{0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000, 100_000}
)

func counter(name, unit, help string, read func(*metrics.HostSnapshot) uint64) *Metric {
	return &Metric{
		Name: name, Kind: Counter, Unit: unit, Help: help,
		host: func(h *metrics.HostSnapshot, y yield) { y("", float64(read(h))) },
	}
}

func level(name, unit, help string, read func(*metrics.HostSnapshot) int64) *Metric {
	return &Metric{
		Name: name, Kind: UpDownCounter, Unit: unit, Help: help,
		host: func(h *metrics.HostSnapshot, y yield) { y("", float64(read(h))) },
	}
}

// models is of a metric that has one number for each model of what would have
// been without the pool.
func models(name string, kind Kind, unit, help string, read func(*metrics.HostSnapshot) map[string]uint64) *Metric {
	return &Metric{
		Name: name, Kind: kind, Unit: unit, Help: help, Attribute: "lastack.model",
		host: func(h *metrics.HostSnapshot, y yield) {
			for model, n := range read(h) {
				y(model, float64(n))
			}
		},
	}
}

func endings() []string {
	var names []string
	for _, e := range linger.Endings() {
		names = append(names, e.String())
	}
	return names
}
