package table

import (
	"strings"

	"github.com/lastack/lastack/metrics"
)

// A Kind is the kind of an instrument, in OpenTelemetry's words.
type Kind uint8

const (
	Counter       Kind = iota // only grows
	UpDownCounter             // a level, whose sum over hosts and pools means something
	Gauge                     // a level, whose sum means nothing
	Histogram
)

// The attributes that metrics share.
const (
	PoolName      = "lastack.pool.name"
	ServerAddress = "server.address"
	ServerPort    = "server.port"
)

// A Metric is one row of the table.
type Metric struct {
	Name      string // OpenTelemetry's
	Kind      Kind
	Unit      string // in UCUM, as OpenTelemetry has it
	Help      string
	Attribute string   // beside those that metrics share; or ""
	Values    []string // of the Attribute; nil: it is open, but bounded
	HTTP      bool     // it is OpenTelemetry's own for HTTP clients

	// Bounds are those of a Histogram for which OpenTelemetry keeps the counts.
	// A Snapshot brings its own.
	Bounds []float64

	// How it is read; one of them is not nil.
	host  func(*metrics.HostSnapshot, yield)
	hist  func(*metrics.HostSnapshot, yieldHistogram)
	whole func(*metrics.Snapshot, yield)
}

// yield takes the value of the Attribute, which is "" where there is none,
// and a number.
type (
	yield          = func(attribute string, n float64)
	yieldHistogram = func(attribute string, h *metrics.Histogram)
)

// PerHost says that the metric has one series, or more, for each host.
func (m *Metric) PerHost() bool { return m.whole == nil }

// Prometheus returns the metric's name in Prometheus, by the rules of
// OpenTelemetry's specification (compatibility/prometheus_and_openmetrics).
func (m *Metric) Prometheus() string {
	name := Label(m.Name)
	if m.Unit == "s" {
		name += "_seconds"
	} // a unit in braces is only a remark
	if m.Kind == Counter {
		name += "_total"
	}
	return name
}

// Label returns the name of an attribute as a label of Prometheus.
func Label(attribute string) string { return strings.ReplaceAll(attribute, ".", "_") }

// Lookup returns the metric of that name, or nil.
func Lookup(name string) *Metric {
	for _, m := range Metrics {
		if m.Name == name {
			return m
		}
	}
	return nil
}
