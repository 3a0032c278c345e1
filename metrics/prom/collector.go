package prom

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/internal/table"
)

// A Collector is a [prometheus.Collector] of the accounts of a pool. It counts
// nothing itself: each scrape is one [metrics.Snapshot]. It may be used by
// several goroutines at a time.
type Collector struct {
	source func() metrics.Snapshot
	rows   []row

	limit table.Limit

	mu     sync.Mutex
	labels map[table.Destination]*labels // made once; as many as limit lets apart

	numbers, histograms int // how many metrics the last scrape had
}

var _ prometheus.Collector = (*Collector)(nil)

// A row is a metric of the table that the Collector exports.
type row struct {
	*table.Metric
	index int // in Collector.rows
	desc  *prometheus.Desc
}

// NewCollector returns a Collector of what source returns, which is asked once
// for each scrape: the Stats method of a pool, or the Snapshot method of a
// [metrics.Meter]. It panics if source is nil.
func NewCollector(source func() metrics.Snapshot, opts ...Option) *Collector {
	if source == nil {
		panic("prom: NewCollector without a source")
	}
	var set settings
	for _, o := range opts {
		o(&set)
	}
	c := &Collector{source: source, labels: make(map[table.Destination]*labels)}
	c.limit.Max = set.maxHosts
	// It is there even if it is empty, which is the same to Prometheus: the
	// collectors of one registry must have the same labels.
	pool := prometheus.Labels{table.Label(table.PoolName): set.pool}
	for _, m := range table.Metrics {
		if m.HTTP && set.withoutHTTP {
			continue
		}
		var names []string
		if m.PerHost() {
			names = append(names, table.Label(table.ServerAddress), table.Label(table.ServerPort))
		}
		if m.Attribute != "" {
			names = append(names, table.Label(m.Attribute))
		}
		c.rows = append(c.rows, row{Metric: m, index: len(c.rows), desc: prometheus.NewDesc(m.Prometheus(), m.Help, names, pool)})
	}
	return c
}

// Describe sends the description of every metric.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, r := range c.rows {
		ch <- r.desc
	}
}

// Collect asks the source for a Snapshot and sends what it says. Metrics whose
// label names a reason, an ending or a model are sent once there is something
// to count, and so are distributions.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	s := c.source()
	numbers, histograms := c.read(&s)
	for i := range numbers {
		ch <- &numbers[i]
	}
	for i := range histograms {
		ch <- &histograms[i]
	}
}

// read returns what s says. A scrape of many hosts is many thousand metrics, so
// they are made in few pieces.
func (c *Collector) read(s *metrics.Snapshot) ([]numberMetric, []histogramMetric) {
	groups := c.limit.Groups(s.Hosts)

	c.mu.Lock()
	defer c.mu.Unlock()
	// As many as the last time: most often nothing new has come.
	numbers := make([]numberMetric, 0, c.numbers)
	histograms := make([]histogramMetric, 0, c.histograms)
	var r *row
	var of *labels
	number := func(attribute string, n float64) {
		numbers = append(numbers, numberMetric{of.get(r, attribute), n})
	}
	histogram := func(attribute string, h *metrics.Histogram) {
		if h.Counts != nil {
			histograms = append(histograms, histogramMetric{of.get(r, attribute), h})
		}
	}
	of = c.labelsOf(table.Destination{})
	for i := range c.rows {
		r = &c.rows[i]
		r.Whole(s, number)
	}
	for g := range groups {
		of = c.labelsOf(groups[g].Destination)
		for i := range c.rows {
			r = &c.rows[i]
			r.Numbers(&groups[g], number)
			r.Histograms(&groups[g], histogram)
		}
	}
	c.numbers, c.histograms = len(numbers), len(histograms)
	return numbers, histograms
}
