package otel

import (
	"slices"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/lastack/lastack/metrics/internal/table"
)

// attributes returns those of a series: of the pool, of the destination for
// metrics that have one, and the metric's own.
func (e *Exporter) attributes(perHost bool, d table.Destination, own ...attribute.KeyValue) attribute.Set {
	all := slices.Clone(e.pool)
	if perHost {
		all = append(all, attribute.String(table.ServerAddress, d.Address))
		if port, err := strconv.Atoi(d.Port); err == nil {
			all = append(all, attribute.Int(table.ServerPort, port))
		}
	}
	return attribute.NewSet(append(all, own...)...)
}

// sets are the attributes of what is observed of one destination, made when they
// are first asked for.
type sets struct {
	e *Exporter
	table.Destination
	rows [][]valueSet // as Exporter.observed
}

// A valueSet is the attributes of one series.
type valueSet struct {
	value   string // of the metric's own attribute
	options []metric.ObserveOption
}

// setsOf returns the attributes of a destination. e.mu must be held, also while
// they are used.
func (e *Exporter) setsOf(d table.Destination) *sets {
	s := e.sets[d]
	if s == nil {
		s = &sets{e: e, Destination: d, rows: make([][]valueSet, len(e.observed))}
		e.sets[d] = s
	}
	return s
}

// get returns the attributes of an instrument's series. The values of an
// attribute are few, so they are looked through.
func (s *sets) get(o *observed, value string) []metric.ObserveOption {
	for _, k := range s.rows[o.index] {
		if k.value == value {
			return k.options
		}
	}
	var own []attribute.KeyValue
	if o.row.Attribute != "" {
		own = append(own, attribute.String(o.row.Attribute, value))
	}
	options := []metric.ObserveOption{metric.WithAttributeSet(s.e.attributes(o.row.PerHost(), s.Destination, own...))}
	s.rows[o.index] = append(s.rows[o.index], valueSet{value, options})
	return options
}
