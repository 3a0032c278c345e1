package debug

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// A lane is one connection's life on the line of time that all lanes share.
type lane struct {
	born, end float64   // as shares of the line
	earlier   float64   // until when there were requests that are not in uses; 0: there were none
	uses      []stretch // the requests
	tone      tone      // of its end
	ended     bool
	label     string
}

// A stretch is a part of a lane.
type stretch struct{ from, to float64 }

// newLane places a connection's times on the line from from to to. A zero time
// has not come yet.
func newLane(from, to time.Time, born, end time.Time) *lane {
	l := &lane{ended: !end.IsZero()}
	if end.IsZero() {
		end = to
	}
	l.born, l.end = shareOf(from, to, born), shareOf(from, to, end)
	return l
}

func (l *lane) use(from, to, begin, end time.Time) {
	if end.Before(from) {
		return
	}
	l.uses = append(l.uses, stretch{shareOf(from, to, begin), shareOf(from, to, end)})
}

// shareOf is where a moment lies between two others: 0 or less than all of it.
func shareOf(from, to, at time.Time) float64 {
	whole := to.Sub(from)
	if whole <= 0 {
		return 0
	}
	return min(max(float64(at.Sub(from))/float64(whole), 0), 1)
}

const laneHeight = 14

func (l *lane) html(w *htmlWriter) {
	// What is too short to be seen is made as wide as can be.
	const least = 0.003
	middle := strconv.Itoa(laneHeight / 2)
	w.open("svg", "class", "lane", "role", "img", "aria-label", l.label, "width", "100%", "height", strconv.Itoa(laneHeight))
	w.empty("line", "class", "life", "x1", percent(l.born), "x2", percent(max(l.end, l.born+least)), "y1", middle, "y2", middle)
	if l.earlier > l.born {
		w.empty("rect", "class", "earlier", "x", percent(l.born), "width", percent(l.earlier-l.born), "y", "2", "height", strconv.Itoa(laneHeight-4))
	}
	var drawn float64 = -1
	for _, u := range l.uses {
		to := max(u.to, u.from+least)
		if to <= drawn {
			continue // it would not be seen
		}
		drawn = to
		w.empty("rect", "class", "use", "x", percent(u.from), "width", percent(to-u.from), "y", "2", "height", strconv.Itoa(laneHeight-4))
	}
	if l.ended {
		w.empty("circle", "class", "end "+toneClass[l.tone], "cx", percent(min(max(l.end, 0.005), 0.995)), "cy", middle, "r", "4")
	}
	w.close("svg")
}

// String draws the lane with letters: a line for its life, a block for a
// request, a pale one where others were, a cross for its end.
func (l *lane) String() string {
	const width = 30
	cells := []rune(strings.Repeat(" ", width))
	at := func(share float64) int { return min(int(math.Floor(share*width)), width-1) }
	for i := at(l.born); i <= at(l.end); i++ {
		cells[i] = '─'
	}
	if l.earlier > l.born {
		for i := at(l.born); i <= at(l.earlier); i++ {
			cells[i] = '░'
		}
	}
	for _, u := range l.uses {
		for i := at(u.from); i <= at(u.to); i++ {
			cells[i] = '▆'
		}
	}
	if l.ended {
		cells[at(l.end)] = '×'
	}
	return string(cells)
}
