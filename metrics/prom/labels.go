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
	rows [][]series // as Collector.rows
}

// A series is what does not change from scrape to scrape: a row of the table
// with its labels.
type series struct {
	*row
	attribute string
	labels    []*dto.LabelPair
}

// labelsOf returns the labels of a destination. c.mu must be held, also while
// they are used.
func (c *Collector) labelsOf(d table.Destination) *labels {
	l := c.labels[d]
	if l == nil {
		l = &labels{Destination: d, rows: make([][]series, len(c.rows))}
		c.labels[d] = l
	}
	return l
}

// get returns a row's series. The values of an attribute are few, so they are
// looked through.
func (l *labels) get(r *row, attribute string) *series {
	all := l.rows[r.index]
	for i := range all {
		if all[i].attribute == attribute {
			return &all[i]
		}
	}
	var values []string
	if r.PerHost() {
		values = append(values, l.Address, l.Port)
	}
	if r.Attribute != "" {
		values = append(values, strings.ToValidUTF8(attribute, "\uFFFD"))
	}
	all = append(all, series{r, attribute, prometheus.MakeLabelPairs(r.desc, values)})
	l.rows[r.index] = all
	return &all[len(all)-1] // which never changes, wherever append moves it
}
