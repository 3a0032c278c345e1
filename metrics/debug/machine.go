package debug

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/lastack/lastack/dialer"
)

// sockets is what the machine is taken up by, whoever made it.
func (v *view) sockets() section {
	s := section{
		id: "machine", title: "Sockets and ports of this network namespace", wide: true,
		about: "All TCP sockets that share this program's network, whichever process made them, as the kernel lists them. " +
			"A TIME_WAIT belongs to no process any more. A CLOSE_WAIT is a connection that the peer has closed and its program has not.",
	}
	r := v.machine.report
	if errors.Is(v.machine.err, errors.ErrUnsupported) {
		s.blocks = []block{note("Not available on this system: its sockets can only be listed on Linux.")}
		return s
	}
	if v.machine.err != nil {
		s.blocks = append(s.blocks, verdict{calm, "Not all is known: " + v.machine.err.Error()})
	}
	if len(r.Sockets) == 0 {
		if v.machine.err == nil {
			s.blocks = append(s.blocks, note("There is no TCP socket, or the kernel does not tell."))
		}
		return s
	}
	s.blocks = append(s.blocks, v.census(), v.destinations())
	if p := v.comingFree(); p != nil {
		s.blocks = append(s.blocks, p)
	}
	s.blocks = append(s.blocks, fold{"Processes, kernel settings and counters", []block{holders(r), settings("Kernel settings", r.Settings),
		settings("Counted by the kernel so far", r.Counters)}})
	for _, g := range r.Unread {
		s.blocks = append(s.blocks, note("Could not be read: "+g.What+": "+g.Why))
	}
	return s
}

// maxDestinations is how many are shown: those with many ports left are of no
// interest.
const maxDestinations = 10

// stateHelp says what the states mean that somebody asks about.
var stateHelp = map[string]string{
	"established": "Open connections, resting ones too.",
	"time_wait":   "This side closed first; the port is held for 60 s.",
	"close_wait":  "The peer has closed and the program has not: if they stay, a program forgets to close.",
	"listen":      "Listeners.",
	"syn_sent":    "Connections that wait for the peer's first answer.",
	"fin_wait_1":  "We have closed, and the peer has not acknowledged it.",
	"fin_wait_2":  "We have closed, the peer has acknowledged it, and not closed.",
	"last_ack":    "The peer closed first, we have too, and wait for the last acknowledgement.",
	"closing":     "Both closed at the same moment.",
}

func (v *view) census() block {
	states := v.machine.report.Sockets
	ours := v.source.kernel.sockets.Ours
	t := &table{caption: "Sockets by state", titled: true, class: "cards census", columns: []column{
		{"state", "", false},
		{"all", "How many there are now, whoever made them.", true},
		{"this pool's", "Of those, the ends of this pool's connections. All others are another's, its servers' ends on the same machine included.", true},
		{"which are", "", false},
	}}
	for _, name := range slices.SortedFunc(maps.Keys(states), func(a, b string) int {
		if states[a] != states[b] {
			return states[b] - states[a]
		}
		return slices.Compare([]byte(a), []byte(b))
	}) {
		mine := "–"
		if ours != nil {
			mine = count(ours[name])
		}
		t.rows = append(t.rows, row{cells: []cell{cellOf(name), cellOf(count(states[name])), cellOf(mine), cellOf(stateHelp[name])}})
	}
	return t
}

// comingFree is when the TIME_WAITs will have ended, or nil if there is none.
func (v *view) comingFree() *plot {
	const minute = 60
	h := v.source.kernel.sockets.Remaining
	if h.Count == 0 || len(h.Counts) != len(h.Bounds)+1 {
		return nil
	}
	p := &plot{
		id: "plot-free", title: "When the ports of the TIME_WAITs come free", kind: bars, to: minute, value: short,
		about: "All TIME_WAITs of this network namespace, by how long they still stand. What holds ports beyond a NAT may do so for longer.",
	}
	s := series{
		name: "TIME_WAITs", class: "c3", help: "How many end within each stretch of time from now.", total: count(h.Count),
		points: []point{{0, math.NaN()}},
	}
	for i, bound := range h.Bounds {
		if bound <= minute {
			s.points = append(s.points, point{bound, float64(h.Counts[i])})
		}
	}
	p.series = []series{s}
	for at := 0; at <= minute; at += 15 {
		p.ticks = append(p.ticks, tick{float64(at), seconds(float64(at))})
	}
	p.ticks[0].label = "now"
	return p
}

func (v *view) destinations() block {
	r := v.machine.report
	t := &table{
		caption: "Ports by destination, the tightest first", titled: true, class: "cards",
		empty: "No connection goes from this machine to another.",
		columns: []column{
			{"to", "The remote address.", false},
			{"from", "The local address. Each pair of addresses has ports of its own.", false},
			{"taken", "Ports that a new connection cannot have, of all that the kernel chooses from.", false},
			{"TIME_WAIT", "Ports held by a TIME_WAIT; below, those that the kernel lends again (tcp_tw_reuse).", true},
			{"come free", "When half and all of the TIME_WAITs will have ended.", false},
			{"new TIME_WAITs", "How fast they are made. More than the ports divided by 60 cannot be sustained.", true},
		},
	}
	for _, d := range r.Destinations[:min(len(r.Destinations), maxDestinations)] {
		share := v.used(d)
		waits := cellOf(count(d.TimeWaits))
		if d.Reusable > 0 {
			waits.lines = append(waits.lines, count(d.Reusable)+" lent again")
		}
		free := cellOf("–")
		if d.TimeWaits > 0 {
			free = cellOf("half in "+soon(d.HalfFreeSeconds), "all in "+soon(d.AllFreeSeconds))
		}
		t.rows = append(t.rows, row{tone: portTone(share), cells: []cell{
			cellOf(d.Address.String()), cellOf(d.Source.String()),
			{lines: []string{fmt.Sprintf("%s of %s, %s", count(v.taken(d)), count(r.Ports.Usable), part(share))}, bar: &bar{share, portTone(share)}},
			waits, free, cellOf(trim(d.TimeWaitsPerSecond) + "/s"),
		}})
	}
	if n := len(r.Destinations) - len(t.rows) + r.MoreDestinations; n > 0 {
		t.more = fmt.Sprintf("… and %s with more ports left.", plural(n, "destination", "destinations"))
	}
	return t
}

func holders(r dialer.Report) block {
	t := &table{
		caption: "Processes with TCP connections", titled: true, class: "cards", empty: "None that may be looked at.",
		columns: []column{
			{"process", "Its name and number, as far as this program may know.", false},
			{"connections", "TCP connections that it holds.", true},
			{"ports", "Of those, from the range of ports for outgoing connections.", true},
			{"CLOSE_WAIT", "Connections that the peer has closed and the process has not.", true},
		},
	}
	for _, h := range r.Holders[:min(len(r.Holders), maxDestinations)] {
		name := fmt.Sprintf("%s, %d", h.Name, h.PID)
		if h.PID == 0 {
			name = fmt.Sprintf("not to be looked at, user %d", h.UID)
		}
		row := row{cells: []cell{cellOf(name), cellOf(count(h.Connections)), cellOf(count(h.Ports)), cellOf(count(h.CloseWaits))}}
		if h.Stale > 0 {
			row.tone = notice
		}
		t.rows = append(t.rows, row)
	}
	return t
}

func settings(title string, list []dialer.Setting) block {
	t := &table{caption: title, titled: true, class: "cards", empty: title + ": not known.", columns: []column{
		{"name", "", false}, {"value", "", true}, {"meaning", "", false},
	}}
	for _, s := range list {
		t.rows = append(t.rows, row{cells: []cell{cellOf(s.Name), cellOf(s.Value), cellOf(s.Meaning)}})
	}
	return t
}
