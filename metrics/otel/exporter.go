package otel

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

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
	registration metric.Registration
	recorders

	mu      sync.Mutex                         // limit has one of its own, which may be taken while mu is held
	sets    map[table.Destination]*sets        // guarded by mu; as many as limit lets apart
	targets atomic.Pointer[map[string]*target] // by host; replaced, never changed, with mu held
}

// An observed instrument is read when the metrics are collected.
type observed struct {
	row   *table.Metric
	index int                      // in Exporter.observed
	count metric.Int64Observable   // nil for a Gauge
	gauge metric.Float64Observable // nil for all else
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
	e := &Exporter{source: source, sets: make(map[table.Destination]*sets)}
	e.targets.Store(new(map[string]*target))
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
	o := observed{row: m, index: len(e.observed)}
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
		*e.recorders.of(m.Name) = h
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

// A point is what is observed of one series.
type point struct {
	*observed
	n       float64
	options []metric.ObserveOption
}

// observe is called for each collection. It ends early if that is given up.
func (e *Exporter) observe(ctx context.Context, to metric.Observer) error {
	s := e.source()
	for _, p := range e.points(&s) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if p.gauge != nil {
			to.ObserveFloat64(p.gauge, p.n, p.options...)
		} else {
			to.ObserveInt64(p.count, int64(p.n), p.options...)
		}
	}
	return nil
}

func (e *Exporter) points(s *metrics.Snapshot) []point {
	groups := e.limit.Groups(s.Hosts)
	points := make([]point, 0, (len(groups)+1)*pointsPerHost)

	e.mu.Lock()
	defer e.mu.Unlock()
	var o *observed
	var of *sets
	add := func(value string, n float64) { points = append(points, point{o, n, of.get(o, value)}) }
	of = e.setsOf(table.Destination{})
	for i := range e.observed {
		o = &e.observed[i]
		o.row.Whole(s, add)
	}
	for g := range groups {
		of = e.setsOf(groups[g].Destination)
		for i := range e.observed {
			o = &e.observed[i]
			o.row.Numbers(&groups[g], add)
		}
	}
	return points
}

// pointsPerHost is what is common; more make room for themselves.
const pointsPerHost = 40
