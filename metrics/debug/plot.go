package debug

import (
	"math"
	"strings"
)

// A plot shows how numbers change, most often over time.
//
// It is drawn here and not by a library: those looked at (gonum/plot,
// go-chart, go-analyze/charts) write colours, or their own style attributes,
// into the picture, where neither a dark screen nor a Content-Security-Policy
// without inline styles can have a say; they draw for one width, so that
// letters shrink with the screen; and they add 1 to 7 MB to a program.
type plot struct {
	id, title string
	kind      plotKind
	log       bool                 // the axis is logarithmic, and has a zero all the same
	from, to  float64              // of the horizontal axis
	ticks     []tick               // on it
	value     func(float64) string // writes a value
	series    []series
	limit     *mark  // on the vertical axis
	marks     []mark // on the horizontal axis
	about     string
	empty     string // why there is nothing to see
}

type plotKind uint8

const (
	lines  plotKind = iota // one beside the other
	stairs                 // the same, with values that hold until the next
	areas                  // one upon the other
	bars                   // the same, each for the time since the one before
)

// A series is one line, or one colour. Its class says how it is drawn, and
// there are few.
type series struct {
	name, class string
	help        string
	points      []point
	total       string // what the legend says; "": the last value
}

// A point is a value; NaN is that there is none.
type point struct{ x, y float64 }

type tick struct {
	x     float64
	label string
}

type mark struct {
	at    float64
	label string
}

// last returns the newest value of a series, or "–".
func (p *plot) last(s series) string {
	if s.total != "" {
		return s.total
	}
	if n := len(s.points); n > 0 && !math.IsNaN(s.points[n-1].y) {
		return p.value(s.points[n-1].y)
	}
	return "–"
}

// isEmpty reports whether there is nothing but zeros, which says less than a
// sentence does.
func (p *plot) isEmpty() bool {
	if p.empty == "" {
		return false
	}
	for _, s := range p.series {
		for _, at := range s.points {
			if at.y > 0 {
				return false
			}
		}
	}
	return true
}

// extent returns the lowest and the highest value of a series.
func (s series) extent() (low, high float64, ok bool) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, at := range s.points {
		if !math.IsNaN(at.y) {
			low, high, ok = min(low, at.y), max(high, at.y), true
		}
	}
	return low, high, ok
}

// summary says in words what the plot shows.
func (p *plot) summary() string {
	parts := make([]string, 0, len(p.series))
	for _, s := range p.series {
		line := s.name + ": " + p.last(s)
		if low, high, ok := s.extent(); ok && p.kind != bars {
			line += ", from " + p.value(low) + " to " + p.value(high)
		}
		parts = append(parts, line)
	}
	if p.limit != nil {
		parts = append(parts, p.limit.label)
	}
	return p.title + ". " + strings.Join(parts, "; ")
}

func (p *plot) text(w *textWriter) {
	w.line("\n%s", clean(p.title))
	if p.isEmpty() {
		w.line("  %s", clean(p.empty))
		return
	}
	width := 0
	for _, s := range p.series {
		width = max(width, len([]rune(clean(s.name))))
	}
	for _, s := range p.series {
		span := ""
		if low, high, ok := s.extent(); ok {
			span = "  (" + p.value(low) + " to " + p.value(high) + ")"
		}
		name := clean(s.name)
		w.line("  %s%s  %s  %s%s", name, strings.Repeat(" ", width-len([]rune(name))), p.sparkline(s), clean(p.last(s)), span)
	}
	if p.limit != nil {
		w.line("  %s", clean(p.limit.label))
	}
}

// sparkline draws a series with the letters that are there for it.
func (p *plot) sparkline(s series) string {
	const width = 30
	levels := []rune("▁▂▃▄▅▆▇█")
	top := p.top()
	cells := make([]float64, width)
	for i := range cells {
		cells[i] = math.NaN()
	}
	for _, at := range s.points {
		if math.IsNaN(at.y) || p.to <= p.from {
			continue
		}
		i := min(max(int((at.x-p.from)/(p.to-p.from)*width), 0), width-1)
		if math.IsNaN(cells[i]) || at.y > cells[i] {
			cells[i] = at.y
		}
	}
	var b strings.Builder
	for _, y := range cells {
		if math.IsNaN(y) {
			b.WriteByte(' ')
			continue
		}
		level := int(p.height(y, top) * float64(len(levels)))
		b.WriteRune(levels[min(max(level, 0), len(levels)-1)])
	}
	return b.String()
}

// top is the value at the upper end of the plot.
func (p *plot) top() float64 {
	top := 0.0
	if p.kind == areas || p.kind == bars {
		for _, at := range p.stacked()[max(len(p.series)-1, 0)] {
			top = max(top, at.y)
		}
	} else {
		for _, s := range p.series {
			for _, at := range s.points {
				if at.y > top {
					top = at.y
				}
			}
		}
	}
	if p.log {
		if p.limit != nil {
			top = max(top, p.limit.at)
		}
		return max(top*1.5, 9)
	}
	if top <= 0 || math.IsInf(top, 0) {
		return 1
	}
	return top * 1.08
}

// height is where a value stands, from 0 at the bottom to 1 at the top.
func (p *plot) height(y, top float64) float64 {
	if p.log {
		return math.Log1p(max(y, 0)) / math.Log1p(top)
	}
	return y / top
}

// stacked returns the upper edges of the series, each upon those before it.
// All series have the same points but for their values.
func (p *plot) stacked() [][]point {
	edges := make([][]point, max(len(p.series), 1))
	for i, s := range p.series {
		edges[i] = make([]point, len(s.points))
		for j, at := range s.points {
			if math.IsNaN(at.y) {
				at.y = 0
			}
			if i > 0 {
				at.y += edges[i-1][j].y
			}
			edges[i][j] = at
		}
	}
	return edges
}

// grid returns the values at which a plot has lines across.
func (p *plot) grid(top float64) []float64 {
	var at []float64
	if p.log {
		for y := 1.0; y <= top && len(at) < 12; y *= 10 {
			at = append(at, y)
		}
		if len(at) > 5 { // every other will do
			thin := at[:0]
			for i, y := range at {
				if i%2 == 0 {
					thin = append(thin, y)
				}
			}
			at = thin
		}
		return at
	}
	step := math.Pow(10, math.Floor(math.Log10(top)))
	for _, part := range []float64{0.2, 0.5, 1} {
		if top/(step*part) <= 5 {
			step *= part
			break
		}
	}
	if p.kind == areas || p.kind == bars {
		step = max(step, 1) // they show how many, and there is no half
	}
	for y := step; y <= top && len(at) < 12; y += step {
		at = append(at, y)
	}
	return at
}
