package debug

import (
	"math"
	"strconv"
	"strings"
)

// The size of a plot. Its width is that of the screen: what is drawn is
// stretched to it, but lines stay as thin and letters as high as they are.
const (
	plotWidth  = 1000 // in the picture's own units
	plotHeight = 150  // of the part that shows data, in pixels
	plotHead   = 16   // above it, for the label of a limit
	plotFoot   = 18   // below it, for the labels of the axis
	plotAll    = plotHead + plotHeight + plotFoot
	plotSide   = 46 // beside it, for the labels of the other axis
)

func (p *plot) html(w *htmlWriter) {
	w.open("figure", "id", p.id)
	w.element("h3", p.title)
	if p.isEmpty() {
		w.element("p", p.empty, "class", "note empty")
		w.close("figure")
		return
	}
	top := p.top()
	w.open("div", "class", "frame")
	p.scale(w, top)
	w.open("svg", "class", "plot", "role", "img", "aria-label", p.summary(), "width", "100%", "height", strconv.Itoa(plotAll))
	p.gridlines(w, top)
	w.open("svg", "y", strconv.Itoa(plotHead), "width", "100%", "height", strconv.Itoa(plotHeight),
		"viewBox", "0 0 "+strconv.Itoa(plotWidth)+" "+strconv.Itoa(plotHeight), "preserveAspectRatio", "none")
	switch p.kind {
	case areas:
		p.areas(w, top)
	case bars:
		p.bars(w, top)
	default:
		p.lines(w, top)
	}
	w.close("svg")
	p.labels(w, top)
	w.close("svg")
	w.close("div")
	p.legend(w)
	if p.about != "" {
		w.WriteString("<figcaption>")
		w.say(p.about)
		w.WriteString("</figcaption>")
	}
	w.close("figure")
}

// y is where a value stands in the outer picture.
func (p *plot) y(value, top float64) string {
	return number(plotHead + plotHeight*(1-p.height(value, top)))
}

// x is where something stands on the horizontal axis, as a share of it.
func (p *plot) x(at float64) float64 {
	if p.to <= p.from {
		return 0
	}
	return min(max((at-p.from)/(p.to-p.from), 0), 1)
}

func (p *plot) gridlines(w *htmlWriter, top float64) {
	w.open("g", "class", "grid", "aria-hidden", "true")
	for _, at := range append([]float64{0}, p.grid(top)...) {
		w.empty("line", "x2", "100%", "y1", p.y(at, top), "y2", p.y(at, top))
	}
	for _, m := range p.marks {
		x := percent(p.x(m.at))
		w.empty("line", "class", "vertical", "x1", x, "x2", x, "y1", strconv.Itoa(plotHead), "y2", strconv.Itoa(plotHead+plotHeight))
	}
	w.close("g")
}

// scale writes the values beside the lines across.
func (p *plot) scale(w *htmlWriter, top float64) {
	w.open("svg", "class", "labels", "aria-hidden", "true", "width", strconv.Itoa(plotSide), "height", strconv.Itoa(plotAll))
	below := -1.0
	for _, at := range append([]float64{0}, p.grid(top)...) {
		height := p.height(at, top)
		if height-below < 0.09 {
			continue // one would stand upon the other
		}
		below = height
		w.element("text", p.value(at), "x", strconv.Itoa(plotSide-6), "y", p.y(at, top), "dy", "4", "text-anchor", "end")
	}
	w.close("svg")
}

// labels are drawn last, so that no line goes through them.
func (p *plot) labels(w *htmlWriter, top float64) {
	w.open("g", "class", "labels", "aria-hidden", "true")
	if p.limit != nil && p.limit.at <= top {
		y := p.y(p.limit.at, top)
		w.empty("line", "class", "limit", "x2", "100%", "y1", y, "y2", y)
		w.element("text", p.limit.label, "class", "limit", "x", "100%", "y", y, "dy", "-4", "text-anchor", "end")
	}
	for _, m := range p.marks {
		w.element("text", m.label, "x", percent(p.x(m.at)), "y", strconv.Itoa(plotHead), "dx", "4", "dy", "8")
	}
	foot := strconv.Itoa(plotHead + plotHeight + plotFoot - 4)
	for i, t := range p.ticks {
		anchor := "middle"
		switch i {
		case 0:
			anchor = "start"
		case len(p.ticks) - 1:
			anchor = "end"
		}
		w.element("text", t.label, "x", percent(p.x(t.x)), "y", foot, "text-anchor", anchor)
	}
	w.close("g")
}

// inside is where a point stands in the part that shows data.
func (p *plot) inside(at point, top float64) (x, y string) {
	return number(p.x(at.x) * plotWidth), number(plotHeight * (1 - p.height(at.y, top)))
}

func (p *plot) lines(w *htmlWriter, top float64) {
	for _, s := range p.series {
		var d, dots strings.Builder // a value alone would be too small to be seen, or lie in a gap of the line
		pen := false                // it is on the paper
		before := ""
		for i, at := range s.points {
			if math.IsNaN(at.y) {
				pen = false
				continue
			}
			x, y := p.inside(at, top)
			switch {
			case !pen:
				d.WriteString("M" + x + " " + y)
				if i+1 == len(s.points) || math.IsNaN(s.points[i+1].y) {
					dots.WriteString("M" + x + " " + y + "h.01")
				}
			case p.kind == stairs:
				d.WriteString("L" + x + " " + before + "L" + x + " " + y)
			default:
				d.WriteString("L" + x + " " + y)
			}
			pen, before = true, y
		}
		w.path("line "+s.class, d.String())
		if dots.Len() > 0 {
			w.path("line "+s.class+" dot", dots.String())
		}
	}
}

func (p *plot) areas(w *htmlWriter, top float64) {
	edges := p.stacked()
	for i := len(p.series) - 1; i >= 0; i-- { // the highest first, so that the others cover it
		if len(edges[i]) == 0 {
			continue
		}
		var d strings.Builder
		x, _ := p.inside(edges[i][0], top)
		d.WriteString("M" + x + " " + strconv.Itoa(plotHeight))
		for _, at := range edges[i] {
			at.x = max(at.x, p.from)
			atX, y := p.inside(at, top)
			d.WriteString("L" + atX + " " + y)
			x = atX
		}
		d.WriteString("L" + x + " " + strconv.Itoa(plotHeight) + "Z")
		w.path("area "+p.series[i].class, d.String())
	}
}

func (p *plot) bars(w *htmlWriter, top float64) {
	edges := p.stacked()
	for i, s := range p.series {
		for j, at := range s.points {
			if !(at.y > 0) || j == 0 {
				continue
			}
			left, right := p.x(s.points[j-1].x), p.x(at.x)
			if right <= left {
				continue
			}
			_, y := p.inside(edges[i][j], top)
			height := plotHeight * at.y / top
			w.empty("rect", "class", "area "+s.class, "x", number(left*plotWidth+0.5), "y", y,
				"width", number((right-left)*plotWidth-0.5), "height", number(height))
		}
	}
}

func (p *plot) terms() []term {
	var terms []term
	for _, s := range p.series {
		if s.help != "" && !p.isEmpty() {
			terms = append(terms, term{s.name, s.help})
		}
	}
	return terms
}

func (p *plot) legend(w *htmlWriter) {
	w.open("ul", "class", "legend")
	for _, s := range p.series {
		w.open("li", "title", s.help)
		w.open("svg", "width", "18", "height", "10", "aria-hidden", "true")
		if p.kind == areas || p.kind == bars {
			w.empty("rect", "class", "area "+s.class, "width", "18", "height", "10", "rx", "2")
		} else {
			w.path("line "+s.class, "M0 5H18")
		}
		w.close("svg")
		w.WriteByte(' ')
		w.say(s.name)
		w.WriteByte(' ')
		w.element("b", p.last(s))
		w.WriteString("</li>")
	}
	w.close("ul")
}

// number writes a coordinate. What is no number stands at zero, so that it
// spoils nothing else.
func number(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "0"
	}
	s := strconv.FormatFloat(f, 'f', 1, 64)
	return strings.TrimSuffix(s, ".0")
}

func percent(share float64) string {
	return strconv.FormatFloat(share*100, 'f', 2, 64) + "%"
}
