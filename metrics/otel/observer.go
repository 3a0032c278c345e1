package otel

import (
	"context"
	"time"

	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/internal/table"
)

var _ metrics.Observer = (*Exporter)(nil)

// Dialed records how long a dial and its parts took. A dial that failed has
// parts, but none is recorded for the whole: that would say more of limits
// than of dials.
func (e *Exporter) Dialed(host string, d metrics.Dial) {
	to := e.limit.Admit(host)
	for _, phase := range [...]struct {
		name string
		took time.Duration
	}{{table.DNS, d.DNS}, {table.Connect, d.TCP}, {table.TLS, d.TLS}} {
		if phase.took > 0 {
			e.record(table.DialPhase, to, phase.name, phase.took.Seconds())
		}
	}
	if d.Err == nil {
		e.record(table.CreateTime, to, "", d.Total.Seconds())
	}
}

// Waited records how long a request waited, whether or not it got a connection
// in the end.
func (e *Exporter) Waited(host string, d time.Duration, _ error) {
	e.record(table.WaitTime, e.limit.Admit(host), "", d.Seconds())
}

// Used records how long a request had its connection.
func (e *Exporter) Used(host string, d time.Duration) {
	e.record(table.UseTime, e.limit.Admit(host), "", d.Seconds())
}

// Ended records how long a connection lived and how many requests it served.
func (e *Exporter) Ended(l metrics.Life) {
	to := e.limit.Admit(l.Host)
	e.record(table.ConnectionDuration, to, "", max(0, l.Gone.Sub(l.Born).Seconds()))
	e.record(table.ConnectionRequests, to, "", float64(l.Requests))
}

func (e *Exporter) record(name string, to table.Destination, attribute string, value float64) {
	if h, ok := e.recorded[name]; ok {
		h.Record(context.Background(), value, e.set(series{h.row, to, attribute}))
	}
}
