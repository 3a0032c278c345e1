package prom

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/lastack/lastack/metrics/internal/table"
)

// labels are the labels of all series of one destination, made when they are
// first asked for.
type labels struct {
	table.Destination
	rows [][]labelled // as Collector.rows
}

// A labelled is the labels of one series.
type labelled struct {
	attribute string
	pairs     []*dto.LabelPair
}

// labelsOf returns the labels of a destination. c.mu must be held, also while
// they are used.
func (c *Collector) labelsOf(d table.Destination) *labels {
	l := c.labels[d]
	if l == nil {
		l = &labels{Destination: d, rows: make([][]labelled, len(c.rows))}
		c.labels[d] = l
	}
	return l
}

// get returns the labels of a row's series. The values of an attribute are few,
// so they are looked through.
func (l *labels) get(r *row, attribute string) []*dto.LabelPair {
	for _, k := range l.rows[r.index] {
		if k.attribute == attribute {
			return k.pairs
		}
	}
	var values []string
	if r.PerHost() {
		values = append(values, l.Address, l.Port)
	}
	if r.Attribute != "" {
		values = append(values, strings.ToValidUTF8(attribute, "\uFFFD"))
	}
	pairs := prometheus.MakeLabelPairs(r.desc, values)
	l.rows[r.index] = append(l.rows[r.index], labelled{attribute, pairs})
	return pairs
}
