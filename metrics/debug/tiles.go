package debug

import (
	"fmt"

	"github.com/lastack/lastack/dialer"
)

// tiles are the numbers that are looked at first.
func (v *view) tiles() section {
	s := v.source.snapshot
	samples, covered := v.recent()
	leases := v.grown(func(k sample) uint64 { return k.leases })
	reused := v.grown(func(k sample) uint64 { return k.reused })
	dials := v.grown(func(k sample) uint64 { return k.dials })
	requests := v.grown(func(k sample) uint64 { return k.requests })

	waited := "nobody had to"
	if len(samples) > 1 {
		h := subtract(samples[len(samples)-1].wait, samples[0].wait)
		if p99, ok := quantile(h, 0.99); ok {
			waited = count(h.Count) + " had to, 99 % of them for less than " + seconds(p99)
		}
	}
	waiting := tile{
		name: "waiting", value: count(s.Waiting), detail: waited, share: -1,
		help: "Requests that wait for a connection now, and for how long those in this span of time had to. If it stays above 0, " +
			"MaxConnsPerHost is too low, the server is too slow, or bodies are not closed.",
	}
	if s.Waiting > 0 {
		waiting.tone = notice
	}
	return section{id: "now", title: "Now", wide: true, blocks: []block{tiles{
		{
			name: "reuse", value: reuse(reused, leases), share: -1,
			detail: fmt.Sprintf("%s dials/s, %s requests/s", perSecond(dials, covered), perSecond(requests, covered)),
			help: "Of the requests that got a connection in this span of time, those that got one that had served before. " +
				"If it is low, see why connections were dialled in the table of hosts.",
		},
		{
			name: "open", value: count(s.Busy + s.Resting + s.Leaving), share: -1,
			detail: fmt.Sprintf("%s in use, %s resting, %s leaving, %s being dialled", count(s.Busy), count(s.Resting), count(s.Leaving), count(s.Dialing)),
			help: "Connections that are open now. In use: a request is on them. Resting: kept for the next one. Leaving: saying goodbye; " +
				"they last for 2 s at most.",
		},
		waiting,
		v.portTile(),
	}}}
}

func (v *view) portTile() tile {
	t := tile{
		name: "tightest port budget", value: "–", share: -1,
		help: "The destination, whoever calls it, with the fewest ports left on this machine: how many are taken, of those that " +
			"the kernel may choose from. At 100 % connect fails with EADDRNOTAVAIL; from half on it takes longer.",
	}
	d, ok := v.tightest()
	switch {
	case v.machine.err != nil && !ok:
		t.detail = "not available: " + v.machine.err.Error()
		return t
	case !ok:
		t.detail = "no connection from this machine to another"
		return t
	}
	t.share = v.used(d)
	t.tone = portTone(t.share)
	t.value = part(t.share)
	t.detail = fmt.Sprintf("%s of %s to %v", count(v.taken(d)), count(v.machine.report.Ports.Usable), d.Address)
	if d.OutInSeconds >= 0 {
		t.detail += "; at this rate none is left in " + soon(d.OutInSeconds)
	}
	return t
}

func portTone(share float64) tone {
	switch {
	case share >= 0.9:
		return urgent
	case share >= shortOfPorts:
		return notice
	}
	return calm
}

// tightest is the destination with the fewest ports left.
func (v *view) tightest() (dialer.Destination, bool) {
	r := v.machine.report
	if len(r.Destinations) == 0 || r.Ports.Usable <= 0 {
		return dialer.Destination{}, false
	}
	return r.Destinations[0], true
}

// taken is how many ports to d a new connection cannot have. Those in
// TIME_WAIT that the kernel lends again are not counted.
func (v *view) taken(d dialer.Destination) int {
	return max(v.machine.report.Ports.Usable-d.Left(), 0)
}

// used is the same as a share of all.
func (v *view) used(d dialer.Destination) float64 {
	return float64(v.taken(d)) / float64(max(v.machine.report.Ports.Usable, 1))
}
