package otel

import (
	"context"
	"maps"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/internal/table"
)

var _ metrics.Observer = (*Exporter)(nil)

// recorders are the instruments that are told what the pool's Meter observes.
// One that is left out is nil.
type recorders struct {
	create, phase, wait, use, duration, requests metric.Float64Histogram
}

// of returns where the instrument of a row belongs.
func (r *recorders) of(name string) *metric.Float64Histogram {
	switch name {
	case table.CreateTime:
		return &r.create
	case table.DialPhase:
		return &r.phase
	case table.WaitTime:
		return &r.wait
	case table.UseTime:
		return &r.use
	case table.ConnectionDuration:
		return &r.duration
	case table.ConnectionRequests:
		return &r.requests
	}
	panic("otel: nobody records " + name)
}

// A target is the attributes of what is recorded of one host.
type target struct {
	all               []metric.RecordOption // of all but the phases of dials
	dns, connect, tls []metric.RecordOption
}

// target returns that of a host. A request asks for it, so it takes no lock
// and makes nothing but the first time.
func (e *Exporter) target(host string) *target {
	if t := (*e.targets.Load())[host]; t != nil {
		return t
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	known := *e.targets.Load()
	if t := known[host]; t != nil {
		return t
	}
	d := e.limit.Admit(host)
	options := func(own ...attribute.KeyValue) []metric.RecordOption {
		return []metric.RecordOption{metric.WithAttributeSet(e.attributes(true, d, own...))}
	}
	phase := attribute.Key(table.Lookup(table.DialPhase).Attribute)
	t := &target{
		all:     options(),
		dns:     options(phase.String(table.DNS)),
		connect: options(phase.String(table.Connect)),
		tls:     options(phase.String(table.TLS)),
	}
	more := maps.Clone(known)
	if more == nil {
		more = make(map[string]*target)
	}
	more[host] = t // a Meter has a bounded number of names
	e.targets.Store(&more)
	return t
}

// Dialed records how long a dial and its parts took. A dial that failed has
// parts, but none is recorded for the whole: that would say more of limits
// than of dials.
func (e *Exporter) Dialed(host string, d metrics.Dial) {
	t := e.target(host)
	for _, part := range [...]struct {
		options []metric.RecordOption
		took    time.Duration
	}{{t.dns, d.DNS}, {t.connect, d.TCP}, {t.tls, d.TLS}} {
		if part.took > 0 {
			record(e.phase, part.took.Seconds(), part.options)
		}
	}
	if d.Err == nil {
		record(e.create, d.Total.Seconds(), t.all)
	}
}

// Waited records how long a request waited, whether or not it got a connection
// in the end.
func (e *Exporter) Waited(host string, d time.Duration, _ error) {
	record(e.wait, d.Seconds(), e.target(host).all)
}

// Used records how long a request had its connection.
func (e *Exporter) Used(host string, d time.Duration) {
	record(e.use, d.Seconds(), e.target(host).all)
}

// Ended records how long a connection lived and how many requests it served.
func (e *Exporter) Ended(l metrics.Life) {
	t := e.target(l.Host)
	record(e.duration, max(0, l.Gone.Sub(l.Born).Seconds()), t.all)
	record(e.requests, float64(l.Requests), t.all)
}

func record(h metric.Float64Histogram, value float64, options []metric.RecordOption) {
	if h != nil { // it is not left out
		h.Record(context.Background(), value, options...)
	}
}
