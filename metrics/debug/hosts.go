package debug

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// maxRows is how many rows of a table are shown. The JSON has them all.
const maxRows = 50

// hosts says of each host what its connections do, why they were dialled, and
// how they ended.
func (v *view) hosts() section {
	t := &table{
		caption: "Hosts, the busiest first", class: "cards hosts", empty: "No host yet: this pool has not been asked for anything.",
		columns: []column{
			{"host", "As the program called it. It leads to the host's what-if curve, where there is one.", false},
			{"in use", "Connections that serve a request now.", true},
			{"resting", "Connections that are kept for the next request.", true},
			{"waiting", "Requests that wait for a connection now; below, how many ever gave up.", true},
			{"reuse", "Of the requests that got a connection, those that got one that had served before.", true},
			{"TIME_WAITs", "Left here; below, what net/http's defaults would have left, at least.", true},
			{"dialled", "How often, and why. What takes the place of a connection that has left is dialled for the reason why that one left.", false},
			{"ended", "How connections ended, and for what reason. local_first is a TIME_WAIT here.", false},
			{"server keeps", "How long the server keeps a connection that rests: as it says, or as was learned from when it closed.", false},
			{"advice", "What to change, if anything.", false},
		},
	}
	all := slices.Clone(v.source.snapshot.Hosts)
	slices.SortStableFunc(all, func(a, b metrics.HostSnapshot) int { return cmp.Compare(b.Leases, a.Leases) })
	words := newGlossary()
	for _, h := range all[:min(len(all), maxRows)] {
		t.rows = append(t.rows, v.hostRow(h))
		for _, counts := range []map[string]uint64{h.DialedBy, h.Reasons} {
			for reason := range counts {
				words.reasons[reason] = true
			}
		}
		for e := range h.Ended {
			words.endings[e] = true
		}
	}
	if n := len(all) - len(t.rows); n > 0 {
		t.more = fmt.Sprintf("… and %s with fewer requests, in the JSON.", plural(n, "host", "hosts"))
	}
	return section{id: "hosts", title: "Hosts", wide: true, words: words.terms(), blocks: []block{t}}
}

func (v *view) hostRow(h metrics.HostSnapshot) row {
	name := cellOf(h.Name)
	if h.Multiplexed {
		name.lines = append(name.lines, "multiplexed")
	}
	if len(h.Curve) > 0 && h.Leases > 0 {
		q := v.query
		q.host = h.Name
		name.link = q.href("") + "#whatif"
	}
	waiting := cellOf(count(h.Waiting))
	if h.Timeouts > 0 {
		waiting.lines = append(waiting.lines, count(h.Timeouts)+" gave up")
	}
	would := cellOf(count(h.TimeWaits))
	if n := h.WouldHave[netHTTP]; n > 0 {
		would.lines = append(would.lines, "else ≥ "+count(n))
	}
	dialled := cellOf(append([]string{count(h.Dials)}, largest(h.DialedBy, 3)...)...)
	if h.DialErrors > 0 {
		dialled.lines = append(dialled.lines, count(h.DialErrors)+" failed")
	}
	ended := make(map[string]uint64)
	var gone uint64
	for e, n := range h.Ended {
		ended[e.String()] = n
		gone += n
	}
	ends := cellOf(append([]string{count(gone)}, largest(ended, 3)...)...)
	for _, reason := range largest(h.Reasons, 2) {
		if reason != "…" {
			reason = "for " + reason
		}
		ends.lines = append(ends.lines, reason)
	}
	advice := h.Advice()
	r := row{cells: []cell{
		name, cellOf(count(h.Busy)), cellOf(count(h.Resting)), waiting, cellOf(reuse(h.Reused, h.Leases)),
		would, dialled, ends, cellOf(keepAlive(h.KeepAlive)), {lines: append([]string{""}, advice...)},
	}}
	if len(advice) > 0 || h.Ended[linger.LocalFirst] > 0 || h.Timeouts > 0 {
		r.tone = notice
	}
	if len(advice) == 0 {
		r.cells[len(r.cells)-1] = cellOf("–")
	}
	return r
}

func keepAlive(k metrics.KeepAlive) string {
	switch {
	case k.Timeout == 0:
		return "not known"
	case k.Learned:
		return lasting(k.Timeout) + ", learned"
	default:
		return lasting(k.Timeout) + ", it says"
	}
}

// leaks names the places in the program that keep connections from others.
func (v *view) leaks() section {
	s := v.source.snapshot
	t := &table{
		caption: "Where response bodies were not closed, the worst first", class: "cards",
		empty: "None: every response body was closed, and none was open for too long.",
		columns: []column{
			{"where", "The place in the program that got the response. _unknown: the pool looks where a request comes from only for some, and this was not one; _other: places beyond those that are told apart.", false},
			{"forgotten", "Bodies that were neither closed nor read to their end. The pool found them, and closed them.", true},
			{"held too long", "Bodies that the program was still in possession of for longer than it had said.", true},
		},
	}
	if s.Leaks+s.HeldBodies > 0 {
		t.empty = "Their places are not known."
	}
	for _, l := range s.LeakedAt[:min(len(s.LeakedAt), maxRows)] {
		t.rows = append(t.rows, row{tone: notice, cells: []cell{cellOf(l.Site), cellOf(count(l.Leak)), cellOf(count(l.Held))}})
	}
	if n := len(s.LeakedAt) - len(t.rows); n > 0 {
		t.more = fmt.Sprintf("… and %s in the JSON.", plural(n, "place", "places"))
	}
	blocks := []block{}
	if s.Leaks+s.HeldBodies > 0 {
		blocks = append(blocks, verdict{notice, plural(s.Leaks, "body", "bodies") + " forgotten, " + count(s.HeldBodies) + " held for too long."})
	}
	return section{
		id: "leaks", title: "Response bodies that were not closed", blocks: append(blocks, t), wide: true,
		about: "A response body that is neither read to its end nor closed keeps its connection from every other request. Mend the program at the places named here.",
	}
}
