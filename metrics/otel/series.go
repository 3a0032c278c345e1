package otel

import (
	"slices"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/lastack/lastack/metrics/internal/table"
)

// A series is what one metric has attributes for.
type series struct {
	row *table.Metric
	table.Destination
	value string // of the metric's own attribute
}

// set returns the attributes of k.
func (e *Exporter) set(k series) metric.MeasurementOption {
	set, ok := e.sets.Load(k)
	if !ok {
		set, _ = e.sets.LoadOrStore(k, metric.WithAttributeSet(e.attributes(k)))
	}
	return set.(metric.MeasurementOption)
}

func (e *Exporter) attributes(k series) attribute.Set {
	all := slices.Clone(e.pool)
	if k.row.PerHost() {
		all = append(all, attribute.String(table.ServerAddress, k.Address))
		if port, err := strconv.Atoi(k.Port); err == nil {
			all = append(all, attribute.Int(table.ServerPort, port))
		}
	}
	if k.row.Attribute != "" {
		all = append(all, attribute.String(k.row.Attribute, k.value))
	}
	return attribute.NewSet(all...)
}
