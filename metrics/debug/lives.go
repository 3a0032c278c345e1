package debug

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// keptUses is how many uses of a connection a Meter keeps. Where there are fewer,
// the first is among them.
const keptUses = 16

// lanes shows the last connections, one beside the other.
func (v *view) lanes() section {
	s := section{
		id: "lives", title: "The last connections", wide: true,
		about: "Each row is one connection: the line is its life, the blocks are its last requests, and the mark is its end. " +
			"Where it is pale it has served others, of which the times are not kept. " +
			"Many short lines beside each other are connections that were not reused; the columns say why each was dialled, and why it left.",
	}
	if !v.source.hasLives {
		s.blocks = []block{note("These accounts do not keep the lives of connections. Give the Meter itself as the Source for them.")}
		return s
	}
	all := slices.Clone(v.source.lives)
	slices.SortStableFunc(all, func(a, b metrics.Life) int { return cmp.Compare(b.Born.UnixNano(), a.Born.UnixNano()) })
	shown := all[:min(len(all), maxRows)]
	from := v.lanesFrom(shown)
	t := &table{
		caption: "The last connections, the newest first", class: "cards lives",
		empty: "There has been no connection yet.",
		columns: []column{
			{"connection", "The host, and the local port, by which ss and tcpdump know it.", false},
			{fmt.Sprintf("%s to %s", from.Format("15:04:05"), v.at.Format("15:04:05")), "The line is its life, the blocks are its last requests (pale: others before them), the mark is its end.", false},
			{"requests", "How many it was leased to.", true},
			{"dialled for", "Why it was dialled.", false},
			{"left for", "Why it serves no more.", false},
			{"ended", "How it ended; local_first is a TIME_WAIT here.", false},
		},
	}
	words := newGlossary()
	for _, l := range shown {
		t.rows = append(t.rows, v.lifeRow(l, from))
		words.reasons[l.Dialed], words.reasons[l.Reason] = true, true
		if !l.Gone.IsZero() {
			words.endings[l.Ending] = true
		}
	}
	s.words = words.terms()
	if n := len(all) - len(shown); n > 0 {
		t.more = fmt.Sprintf("… and %s, older, in the JSON.", plural(n, "connection", "connections"))
	}
	s.blocks = []block{t}
	return s
}

// lanesFrom is where the line of time begins: with the oldest that is shown, or
// with the window.
func (v *view) lanesFrom(shown []metrics.Life) time.Time {
	from := v.at.Add(-time.Second)
	for _, l := range shown {
		if l.Born.Before(from) {
			from = l.Born
		}
	}
	if begin := v.at.Add(-v.window); from.Before(begin) {
		return begin
	}
	return from
}

func (v *view) lifeRow(l metrics.Life, from time.Time) row {
	line := newLane(from, v.at, l.Born, l.Gone)
	for _, u := range l.Uses {
		end := u.From.Add(u.For)
		if u.For == 0 {
			end = v.at
		}
		line.use(from, v.at, u.From, end)
	}
	if len(l.Uses) >= keptUses && l.Requests > uint64(len(l.Uses)) {
		line.earlier = shareOf(from, v.at, l.Uses[0].From)
	}
	lived, ended := v.at.Sub(l.Born), "–"
	left := l.Reason
	if !l.Gone.IsZero() {
		lived, ended = l.Gone.Sub(l.Born), l.Ending.String()
	}
	if left == "" {
		left = "–"
	}
	r := row{}
	if line.ended && (l.Ending == linger.LocalFirst || l.Ending == linger.Lost) {
		line.tone = notice
		if l.Ending == linger.LocalFirst {
			r.tone = notice
		}
	}
	line.label = fmt.Sprintf("lived for %s, %s", lasting(lived), plural(l.Requests, "request", "requests"))
	port := ""
	if l.Local.IsValid() {
		port = fmt.Sprintf("port %d", l.Local.Port())
	}
	r.cells = []cell{
		cellOf(l.Host, port), {lane: line}, cellOf(count(l.Requests)),
		cellOf(cmp.Or(l.Dialed, "–")), cellOf(left), cellOf(ended),
	}
	return r
}
