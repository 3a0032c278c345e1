package debug

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// plots shows how things came to be.
func (v *view) plots() section {
	samples, _ := v.recent()
	s := section{id: "plots", title: "The last " + v.span(), wide: true}
	if len(samples) < 2 {
		s.blocks = []block{note("There will be plots once there are two samples, in some seconds.")}
		return s
	}
	s.blocks = []block{grid{v.standing(samples), v.states(samples), v.endings(samples), v.dialTime(samples)}}
	return s
}

// A grid is plots beside each other, where there is room.
type grid []*plot

func (g grid) html(w *htmlWriter) {
	w.open("div", "class", "grid")
	for _, p := range g {
		p.html(w)
	}
	w.close("div")
}

func (g grid) terms() []term {
	var terms []term
	for _, p := range g {
		terms = append(terms, p.terms()...)
	}
	return terms
}

func (g grid) text(w *textWriter) {
	for _, p := range g {
		p.text(w)
	}
}

// overTime is a plot whose horizontal axis is the time that samples cover.
func (v *view) overTime(samples []sample, p plot) *plot {
	to := samples[len(samples)-1].at
	from := to.Add(-v.window)
	if first := samples[0].at; first.After(from) {
		from = first
	}
	p.from, p.to = stamp(from), stamp(to)
	format := "15:04:05"
	if to.Sub(from) > 5*time.Minute {
		format = "15:04"
	}
	const parts = 3
	for i := range parts {
		at := from.Add(to.Sub(from) * time.Duration(i) / parts)
		p.ticks = append(p.ticks, tick{stamp(at), at.Format(format)})
	}
	p.ticks = append(p.ticks, tick{p.to, "now"})
	return &p
}

func stamp(t time.Time) float64 { return float64(t.UnixMilli()) / 1e3 }

// each makes a point of every sample.
func each(samples []sample, y func(sample) float64) []point {
	points := make([]point, len(samples))
	for i, k := range samples {
		points[i] = point{stamp(k.at), y(k)}
	}
	return points
}

// between makes a point of every sample and the one before it.
func between(samples []sample, y func(now, before sample) float64) []point {
	points := []point{{stamp(samples[0].at), math.NaN()}}
	for i, k := range samples[1:] {
		points = append(points, point{stamp(k.at), y(k, samples[i])})
	}
	return points
}

// standing holds our TIME_WAITs against the ghosts' and the limit.
func (v *view) standing(samples []sample) *plot {
	p := v.overTime(samples, plot{
		id: "plot-standing", title: "TIME_WAITs that stand, to the host with the most", log: true,
		value: short,
		series: []series{{
			name: "this pool", class: "ours", help: "TIME_WAITs that this pool's connections have left in the last 60 s.",
			points: each(samples, func(k sample) float64 { return float64(k.standing) }),
		}},
		about: "Where a ghost meets the limit, requests would have failed for want of a port. The scale is logarithmic.",
	})
	classes := map[string]string{netHTTP: "ghost", metrics.PerRequest: "bound"}
	for _, m := range modelsOf(v.source.snapshot) {
		class, bound := classes[m], "at least"
		if class == "" {
			class = "custom"
		}
		if m == metrics.PerRequest {
			bound = "at most"
		}
		p.series = append(p.series, series{
			name: modelName(m), class: class, help: "What would stand with this model, " + bound + ".",
			points: each(samples, func(k sample) float64 { return float64(k.wouldStand[m]) }),
		})
	}
	if n := v.machine.report.Ports.Usable; n > 0 {
		p.limit = &mark{float64(n), "limit: " + count(n) + " ports to a destination"}
	}
	return p
}

func (v *view) states(samples []sample) *plot {
	number := func(of func(sample) int64) []point {
		return each(samples, func(k sample) float64 { return float64(of(k)) })
	}
	return v.overTime(samples, plot{
		id: "plot-states", title: "Connections, by what they do", kind: areas, value: short,
		series: []series{
			{name: "in use", class: "c1", help: "They serve a request.", points: number(func(k sample) int64 { return k.busy })},
			{name: "resting", class: "c2", help: "They are kept for the next request.", points: number(func(k sample) int64 { return k.resting })},
			{name: "being dialled", class: "c3", help: "They are not connections yet.", points: number(func(k sample) int64 { return k.dialing })},
			{name: "requests that wait", class: "act", help: "Requests for which there is none.", points: number(func(k sample) int64 { return k.waiting })},
		},
		empty: "No connection has been open in this time.",
	})
}

// endingLooks say how each ending is drawn, and what it means.
var endingLooks = map[linger.Ending]struct{ class, help string }{
	linger.PeerFirst:  {"c1", "The peer closed first. Nothing is left here; the peer has the TIME_WAIT."},
	linger.FinReset:   {"c2", "We closed first and reset once the peer had everything. Nobody has a TIME_WAIT."},
	linger.Aborted:    {"c3", "We reset it. Nobody has a TIME_WAIT."},
	linger.Lost:       {"c4", "It had failed before we closed it."},
	linger.Unknown:    {"c5", "It was not ours to end, so how it did is not known."},
	linger.LocalFirst: {"act", "We closed first and have a TIME_WAIT for it."},
}

// maxBars is how many bars can be told from each other.
const maxBars = 60

func (v *view) endings(samples []sample) *plot {
	some := samples
	if step := (len(samples) + maxBars - 1) / maxBars; step > 1 {
		some = nil
		for i := len(samples) - 1; i >= 0; i -= step {
			some = append(some, samples[i])
		}
		slices.Reverse(some)
	}
	p := v.overTime(samples, plot{
		id: "plot-endings", title: "How connections ended", kind: bars, value: short,
		empty: "No connection has ended in this time.",
	})
	first, last := some[0], some[len(some)-1]
	for _, e := range []linger.Ending{linger.PeerFirst, linger.FinReset, linger.Aborted, linger.Lost, linger.Unknown, linger.LocalFirst} {
		n := since(last.ended[e], first.ended[e])
		if n == 0 && e != linger.LocalFirst {
			continue
		}
		p.series = append(p.series, series{
			name: e.String(), class: endingLooks[e].class, help: endingLooks[e].help, total: count(n),
			points: between(some, func(now, before sample) float64 { return float64(since(now.ended[e], before.ended[e])) }),
		})
	}
	return p
}

func (v *view) dialTime(samples []sample) *plot {
	at := func(q float64) []point {
		return between(samples, func(now, before sample) float64 {
			if d, ok := quantile(subtract(now.dial, before.dial), q); ok {
				return d
			}
			return math.NaN()
		})
	}
	p := v.overTime(samples, plot{
		id: "plot-dial", title: "Dial time", value: seconds,
		series: []series{
			{name: "half below", class: "ours", help: "Half of the dials took less (p50).", points: at(0.5)},
			{name: "99 % below", class: "ghost", help: "99 of 100 dials took less (p99).", points: at(0.99)},
		},
		empty: "No dial has ended in this time: every request found a connection.",
		about: "From the dial's start until a request could use the connection: name, TCP and TLS.",
	})
	whole := subtract(samples[len(samples)-1].dial, samples[0].dial)
	for i, q := range []float64{0.5, 0.99} {
		if d, ok := quantile(whole, q); ok {
			p.series[i].total = seconds(d)
		}
	}
	return p
}

// whatIf shows what other limits on resting connections would cost.
func (v *view) whatIf() section {
	h, ok := v.curveHost()
	h.Curve = whole(h.Curve)
	s := section{
		id: "whatif", title: "What if: how many connections to keep at rest", wide: true,
		about: "Worked out for every size at once, from the order of the real requests, for a pool that dials in no time and keeps what rests for ever. " +
			"The line falls where keeping one more connection saves dials; where it is flat, more are of no use.",
	}
	if !ok {
		s.blocks = []block{note("There is no curve yet: it needs requests over HTTP/1.1. HTTP/2 and gRPC share connections, whatever the size.")}
		return s
	}
	s.title += ", for " + h.Name
	p := &plot{
		id: "plot-whatif", title: "Dials and TIME_WAITs, by the number of resting connections kept", kind: stairs, log: true, value: short,
		to:    float64(h.Curve[len(h.Curve)-1].MaxIdle),
		marks: []mark{{2, "net/http keeps 2"}},
	}
	dials := series{name: "dials", class: "ours", help: "Connections that would have been dialled."}
	waits := series{name: "TIME_WAITs", class: "ghost", help: "TIME_WAITs that closing what is too much would have left."}
	for _, w := range h.Curve {
		dials.points = append(dials.points, point{float64(w.MaxIdle), float64(w.Dials)})
		waits.points = append(waits.points, point{float64(w.MaxIdle), float64(w.TimeWaits)})
	}
	most := h.Curve[len(h.Curve)-1]
	dials.total = fmt.Sprintf("%s with %d", short(float64(most.Dials)), most.MaxIdle)
	waits.total = fmt.Sprintf("%s with %d", short(float64(most.TimeWaits)), most.MaxIdle)
	p.series = []series{dials, waits}
	for k := 0; k <= most.MaxIdle; k += 8 {
		if most.MaxIdle-k >= 6 {
			p.ticks = append(p.ticks, tick{float64(k), count(k)})
		}
	}
	p.ticks = append(p.ticks, tick{p.to, count(most.MaxIdle)})
	t := &table{caption: "The same as numbers", columns: []column{
		{"kept at rest", "The limit on resting connections (MaxIdlePerHost).", false},
		{"dials", dials.help, true}, {"TIME_WAITs", waits.help, true},
	}}
	for _, k := range []int{0, 1, 2, 4, 8, 16, 32, h.Curve[len(h.Curve)-1].MaxIdle} {
		for _, w := range h.Curve {
			if w.MaxIdle == k {
				t.rows = append(t.rows, row{cells: []cell{cellOf(count(k)), cellOf(count(w.Dials)), cellOf(count(w.TimeWaits))}})
			}
		}
	}
	s.blocks = []block{p, v.enough(h), fold{"The same as numbers", []block{t}}}
	return s
}

// enough says how many connections save nearly all dials that can be saved.
func (v *view) enough(h metrics.HostSnapshot) block {
	most, least := h.Curve[0].Dials, h.Curve[len(h.Curve)-1].Dials
	for _, w := range h.Curve {
		if since(w.Dials, least) <= since(most, least)/100 {
			return note(fmt.Sprintf("Keeping %d saves 99 %% of the dials that can be saved: %s, against %s with 2. This pool dialled %s.",
				w.MaxIdle, plural(w.Dials, "dial", "dials"), count(dialsWith(h.Curve, 2)), count(h.Dials)))
		}
	}
	return note("")
}

// mostKept is the size of the largest pool that is shown.
const mostKept = 63

// whole returns a curve that goes on to mostKept where nothing changes any more,
// so that the plots of all hosts have one scale.
func whole(curve []metrics.WhatIf) []metrics.WhatIf {
	all := slices.Clone(curve)
	for n := len(all); n > 0 && all[n-1].MaxIdle < mostKept; n++ {
		next := all[n-1]
		next.MaxIdle++
		all = append(all, next)
	}
	return all
}

func dialsWith(curve []metrics.WhatIf, k int) uint64 {
	for _, w := range curve {
		if w.MaxIdle == k {
			return w.Dials
		}
	}
	return curve[len(curve)-1].Dials
}

// curveHost is the host that was asked for, or the one with the most requests.
func (v *view) curveHost() (best metrics.HostSnapshot, ok bool) {
	for _, h := range v.source.snapshot.Hosts {
		switch {
		case len(h.Curve) == 0 || h.Leases == 0:
		case h.Name == v.host:
			return h, true
		case !ok || h.Leases > best.Leases:
			best, ok = h, true
		}
	}
	return best, ok
}
