package debug

import (
	"bytes"
	"fmt"
	"strings"
	"text/tabwriter"
)

// A textWriter writes the report for a terminal, or for a ticket.
type textWriter struct{ bytes.Buffer }

func (w *textWriter) line(format string, args ...any) {
	fmt.Fprintf(&w.Buffer, format, args...)
	w.WriteByte('\n')
}

// page writes the whole report.
func (w *textWriter) page(r *report) {
	w.line("%s", clean(r.title))
	var facts []string
	for _, f := range r.facts {
		facts = append(facts, f.name+" "+f.value)
	}
	w.line("%s", clean(strings.Join(facts, " · ")))
	for _, s := range r.parts {
		w.line("\n%s\n%s", clean(s.title), strings.Repeat("=", len([]rune(clean(s.title)))))
		for _, b := range s.blocks {
			b.text(w)
		}
	}
	w.line("\nWhat is this?\n=============")
	for _, s := range r.parts {
		if s.about != "" {
			w.line("%s: %s", clean(s.title), clean(s.about))
		}
	}
	said := make(map[term]bool)
	for _, s := range r.parts {
		for _, t := range s.words {
			if !said[t] {
				w.line("%s: %s", clean(t.name), clean(t.means))
			}
			said[t] = true
		}
	}
}

func (n note) text(w *textWriter) { w.line("%s", clean(string(n))) }

func (v verdict) text(w *textWriter) { w.line("%s%s", marked(v.tone), clean(v.line)) }

func marked(t tone) string {
	if t == calm {
		return ""
	}
	return toneMark[t] + " "
}

func (f findings) text(w *textWriter) {
	for _, one := range f {
		w.line("%s%s", marked(one.tone), clean(one.matter))
		for _, do := range one.do {
			w.line("    - %s", clean(do))
		}
	}
}

func (list tiles) text(w *textWriter) {
	t := tabwriter.NewWriter(&w.Buffer, 0, 0, 2, ' ', 0)
	for _, one := range list {
		fmt.Fprintf(t, "%s\t%s%s\t%s\n", clean(one.name), marked(one.tone), clean(one.value), clean(one.detail))
	}
	t.Flush()
}

func (f fold) text(w *textWriter) {
	w.line("\n%s", clean(f.summary))
	for _, b := range f.blocks {
		b.text(w)
	}
}

// short are the lines of a cell but for explanations, for which no column is
// wide enough.
func (c cell) short() []string {
	for i, line := range c.lines {
		if i > 0 && len(line) > 30 {
			return c.lines[:i]
		}
	}
	return c.lines
}

func (t *table) text(w *textWriter) {
	if len(t.rows) == 0 {
		w.line("%s", clean(t.empty))
		return
	}
	if t.titled {
		w.line("\n%s", clean(t.caption))
	}
	tw := tabwriter.NewWriter(&w.Buffer, 0, 0, 2, ' ', 0)
	for i, c := range t.columns {
		if i > 0 {
			fmt.Fprint(tw, "\t")
		}
		fmt.Fprint(tw, clean(c.name))
	}
	fmt.Fprintln(tw)
	for _, r := range t.rows {
		for i, c := range r.cells {
			if i > 0 {
				fmt.Fprint(tw, "\t")
			} else {
				fmt.Fprint(tw, marked(r.tone))
			}
			fmt.Fprint(tw, clean(strings.TrimSuffix(strings.Join(c.short(), "; "), "; ")))
			if c.lane != nil {
				fmt.Fprint(tw, c.lane.String())
			}
		}
		fmt.Fprintln(tw)
	}
	tw.Flush()
	for _, r := range t.rows {
		for _, c := range r.cells {
			for _, line := range c.lines[len(c.short()):] {
				w.line("  %s: %s", clean(r.cells[0].lines[0]), clean(line))
			}
		}
	}
	if t.more != "" {
		w.line("%s", clean(t.more))
	}
}
