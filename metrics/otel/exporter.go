package otel

import (
	"context"
	"fmt"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/internal/table"
)

// scope names the instrumentation, as OpenTelemetry wants it.
const scope = "github.com/lastack/lastack/metrics/otel"

// An Exporter has the instruments of one pool; [New] makes it. Its methods may
// be called by several goroutines at a time.
type Exporter struct {
	source func() metrics.Snapshot
	pool   []attribute.KeyValue
	limit  table.Limit

	observed     []observed
	recorded     map[string]recorded // by name; without those left out
	registration metric.Registration

	sets sync.Map // series → metric.MeasurementOption, made once; as many as there are series
}

// An observed instrument is read when the metrics are collected.
type observed struct {
	row   *table.Metric
	count metric.Int64Observable   // nil for a Gauge
	gauge metric.Float64Observable // nil for all else
}

// A recorded instrument is told what the pool's Meter observes.
type recorded struct {
	row *table.Metric
	metric.Float64Histogram
}

// New makes the instruments with a Meter of provider and has them read from
// source, the Stats method of a pool or the Snapshot method of a
// [metrics.Meter], once for each collection, until [Exporter.Shutdown]. The
// error is the provider's.
//
// The distributions come by another way: the Exporter is a [metrics.Observer],
// which the pool's Meter must be given.
//
// New panics if provider or source is nil. There is no default: which provider
// is used is for the program to say.
func New(provider metric.MeterProvider, source func() metrics.Snapshot, opts ...Option) (*Exporter, error) {
	if provider == nil {
		panic("otel: New without a MeterProvider")
	}
	if source == nil {
		panic("otel: New without a source")
	}
	var set settings
	for _, o := range opts {
		o(&set)
	}
	e := &Exporter{source: source, recorded: make(map[string]recorded)}
	e.limit.Max = set.maxHosts
	if set.pool != "" {
		e.pool = []attribute.KeyValue{attribute.String(table.PoolName, set.pool)}
	}

	meter := provider.Meter(scope)
	var all []metric.Observable
	for _, m := range table.Metrics {
		if m.HTTP && set.withoutHTTP {
			continue
		}
		o, err := e.instrument(meter, m)
		if err != nil {
			return nil, fmt.Errorf("otel: %s: %w", m.Name, err)
		}
		if o != nil {
			all = append(all, o)
		}
	}
	var err error
	if e.registration, err = meter.RegisterCallback(e.observe, all...); err != nil {
		return nil, fmt.Errorf("otel: %w", err)
	}
	return e, nil
}

// instrument makes the instrument of a row. It returns nil for a histogram,
// which is not observed but recorded.
func (e *Exporter) instrument(meter metric.Meter, m *table.Metric) (metric.Observable, error) {
	unit, help := metric.WithUnit(m.Unit), metric.WithDescription(m.Help)
	o := observed{row: m}
	var err error
	switch m.Kind {
	case table.Counter:
		o.count, err = meter.Int64ObservableCounter(m.Name, unit, help)
	case table.UpDownCounter:
		o.count, err = meter.Int64ObservableUpDownCounter(m.Name, unit, help)
	case table.Gauge:
		o.gauge, err = meter.Float64ObservableGauge(m.Name, unit, help)
	case table.Histogram:
		h, err := meter.Float64Histogram(m.Name, unit, help, metric.WithExplicitBucketBoundaries(m.Bounds...))
		e.recorded[m.Name] = recorded{m, h}
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	e.observed = append(e.observed, o)
	if o.gauge != nil {
		return o.gauge, nil
	}
	return o.count, nil
}

// Shutdown ends the reading of the source; what was recorded stays. It waits
// for nothing. The error is the provider's.
func (e *Exporter) Shutdown(context.Context) error { return e.registration.Unregister() }

// observe is called for each collection.
func (e *Exporter) observe(ctx context.Context, to metric.Observer) error {
	s := e.source()
	groups := e.limit.Groups(s.Hosts)
	for _, o := range e.observed {
		var at table.Destination
		each := func(value string, n float64) {
			set := e.set(series{o.row, at, value})
			if o.gauge != nil {
				to.ObserveFloat64(o.gauge, n, set)
			} else {
				to.ObserveInt64(o.count, int64(n), set)
			}
		}
		o.row.Whole(&s, each)
		for i := range groups {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			at = groups[i].Destination
			o.row.Numbers(&groups[i], each)
		}
	}
	return nil
}
