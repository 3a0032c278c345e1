package prom

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/internal/table"
)

// A numberMetric is a counter or a gauge of one Snapshot. It is what
// [prometheus.NewConstMetric] makes, but for the labels, which are not made
// anew for each scrape.
type numberMetric struct {
	*series
	value float64
}

// Desc returns the metric's description.
func (n *numberMetric) Desc() *prometheus.Desc { return n.desc }

// Write puts the metric into out.
func (n *numberMetric) Write(out *dto.Metric) error {
	out.Label = n.labels
	if n.Kind == table.Counter {
		out.Counter = &dto.Counter{Value: &n.value}
	} else {
		out.Gauge = &dto.Gauge{Value: &n.value}
	}
	return nil
}

// A histogramMetric is a distribution of one Snapshot.
type histogramMetric struct {
	*series
	*metrics.Histogram
}

// Desc returns the metric's description.
func (h *histogramMetric) Desc() *prometheus.Desc { return h.desc }

// Write puts the metric into out, whose buckets are cumulative.
func (h *histogramMetric) Write(out *dto.Metric) error {
	out.Label = h.labels
	to := &dto.Histogram{SampleCount: &h.Count, SampleSum: &h.Sum, Bucket: make([]*dto.Bucket, len(h.Bounds))}
	buckets := make([]dto.Bucket, len(h.Bounds))
	below := make([]uint64, len(h.Bounds))
	var sum uint64
	for i := range h.Bounds {
		sum += h.Counts[i]
		below[i] = sum
		buckets[i].UpperBound = &h.Bounds[i]
		buckets[i].CumulativeCount = &below[i]
		to.Bucket[i] = &buckets[i]
	}
	out.Histogram = to
	return nil
}
