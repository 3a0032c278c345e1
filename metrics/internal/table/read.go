package table

import (
	"slices"

	"github.com/lastack/lastack/metrics"
)

// Whole calls y with the metric's numbers that concern no host.
func (m *Metric) Whole(s *metrics.Snapshot, y func(attribute string, n float64)) {
	if m.whole != nil {
		m.whole(s, y)
	}
}

// Numbers calls y with the metric's numbers of a group, once for each value of
// the metric's Attribute.
func (m *Metric) Numbers(g *Group, y func(attribute string, n float64)) {
	if m.host == nil {
		return
	}
	if len(g.Hosts) == 1 {
		m.host(g.Hosts[0], y)
		return
	}
	if m.Kind == Gauge {
		return // the hosts have no common one
	}
	sums := make(map[string]float64)
	add := func(attribute string, n float64) { sums[attribute] += n }
	for _, h := range g.Hosts {
		m.host(h, add)
	}
	for attribute, n := range sums {
		y(attribute, n)
	}
}

// Histograms calls y with the metric's distributions of a group, once for each
// value of the metric's Attribute. Where nothing was recorded Counts is nil, or
// y is not called.
func (m *Metric) Histograms(g *Group, y func(attribute string, h *metrics.Histogram)) {
	if m.hist == nil {
		return
	}
	if len(g.Hosts) == 1 {
		m.hist(g.Hosts[0], y)
		return
	}
	sums := make(map[string]*metrics.Histogram)
	add := func(attribute string, h *metrics.Histogram) {
		if h.Counts == nil {
			return
		}
		sum := sums[attribute]
		if sum == nil {
			sum = &metrics.Histogram{Bounds: h.Bounds, Counts: make([]uint64, len(h.Counts))}
			sums[attribute] = sum
		}
		merge(sum, h)
	}
	for _, h := range g.Hosts {
		m.hist(h, add)
	}
	for attribute, h := range sums {
		y(attribute, h)
	}
}

// merge adds h to sum if both have the same ranges, which those of one Meter do.
func merge(sum, h *metrics.Histogram) {
	if !slices.Equal(sum.Bounds, h.Bounds) {
		return
	}
	for i, n := range h.Counts {
		sum.Counts[i] += n
	}
	sum.Count += h.Count
	sum.Sum += h.Sum
}
