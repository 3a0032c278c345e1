package debug

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// everything is a report with one block of each kind, in which every string is
// s and every number n.
func everything(s string, n float64) *report {
	at := time.Unix(1e9, 0)
	line := newLane(at, at.Add(time.Minute), at.Add(time.Second), time.Time{})
	line.use(at, at.Add(time.Minute), at, at.Add(time.Duration(n)))
	line.label = s
	points := []point{{0, 1}, {1, n}, {2, math.NaN()}, {3, n}}
	draw := func(kind plotKind, log bool) *plot {
		return &plot{
			id: "p", title: s, kind: kind, log: log, to: 3, value: short, about: s, empty: s,
			ticks: []tick{{0, s}, {3, s}}, marks: []mark{{1, s}}, limit: &mark{n, s},
			series: []series{{name: s, class: "c1", help: s, points: points}, {name: s, class: "c2", points: points, total: s}},
		}
	}
	return &report{
		title: s, facts: []fact{{s, s, s}},
		links: []linkGroup{{s, []link{{s, query{s, s, s}.href("text"), true}}}},
		parts: []section{{
			id: "a", title: s, about: s, blocks: []block{
				note(s), verdict{urgent, s}, findings{{notice, s, []string{s}, "a"}}, tiles{{s, s, s, s, good, n}},
				&table{caption: s, titled: true, columns: []column{{s, s, true}, {s, s, false}}, more: s, rows: []row{{tone: notice, cells: []cell{
					{lines: []string{s, s}, link: query{host: s}.href("")}, {bar: &bar{n, urgent}, lane: line},
				}}}},
				&table{empty: s}, fold{s, []block{note(s)}},
				grid{draw(lines, true), draw(bars, false)},
			},
		}},
	}
}

// FuzzRender: no string makes an element or an attribute, no number spoils a
// picture, and no string gives orders to a terminal.
func FuzzRender(f *testing.F) {
	f.Add("<script>alert(1)</script>", 1.0)
	f.Add(`"><img src=x onerror=alert(1)>`, -1.0)
	f.Add("' onload='x", math.Inf(1))
	f.Add("\x1b[2J\xff\u202e\u2028\x00", math.NaN())
	f.Add("]]>--></title></svg>&lt;", 1e300)
	f.Add("", 0.0)
	f.Add("x", 5e-324)
	shapes := map[string]bool{}
	for _, s := range []string{"", "x"} {
		for _, n := range []float64{-1, 0, 0.5, 1, 5, 1e9, math.NaN(), math.Inf(1)} {
			var w htmlWriter
			w.page(everything(s, n))
			for _, shape := range shapesOf(f, w.String()) {
				shapes[shape] = true
			}
		}
	}
	f.Fuzz(func(t *testing.T, s string, n float64) {
		s = s[:min(len(s), 50)] // long ones are TestHostile's
		var w htmlWriter
		w.page(everything(s, n))
		for _, shape := range shapesOf(t, w.String()) {
			if !shapes[shape] {
				t.Errorf("%q with %v makes %q", s, n, shape)
			}
		}
		if !utf8.ValidString(w.String()) {
			t.Errorf("%q with %v: not a page", s, n)
		}
		var text textWriter
		text.page(everything(s, n))
		if i := strings.IndexFunc(text.String(), func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }); i >= 0 || !utf8.ValidString(text.String()) {
			t.Errorf("%q with %v: not a text", s, n)
		}
	})
}

// shapesOf returns the tags of a page without the values of their attributes,
// and fails if what is between them is not escaped.
func shapesOf(t testing.TB, page string) []string {
	t.Helper()
	var all []string
	for part := range strings.SplitSeq(page, "<") {
		tag, text, ok := strings.Cut(part, ">")
		if !ok && part != "" {
			t.Fatalf("a < that is not of a tag: %.80q", part)
		}
		if strings.ContainsAny(text, `>"'`) {
			t.Errorf("not escaped: %.80q", text)
		}
		var shape strings.Builder
		for i, piece := range strings.Split(tag, `"`) {
			if i%2 == 0 {
				shape.WriteString(piece)
			}
		}
		all = append(all, shape.String())
	}
	return all
}
