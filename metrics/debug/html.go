package debug

import (
	"bytes"
	"html"
	"strconv"
)

// An htmlWriter writes HTML in which everything that is not ours is escaped:
// names of elements and attributes are constants of this package, and all else
// goes through text or an attribute's value.
//
// It takes the place of html/template, with which a program is 2 MB larger: the
// template calls methods by their names, so that the linker has to keep every
// exported method of the program.
type htmlWriter struct{ bytes.Buffer }

// open writes a start tag. Attributes are pairs of name and value; those with
// an empty value are left out.
func (w *htmlWriter) open(name string, attributes ...string) {
	w.WriteByte('<')
	w.WriteString(name)
	for i := 0; i+1 < len(attributes); i += 2 {
		if attributes[i+1] == "" {
			continue
		}
		w.WriteByte(' ')
		w.WriteString(attributes[i])
		w.WriteString(`="`)
		w.WriteString(html.EscapeString(cleanTo(maxAttribute, attributes[i+1])))
		w.WriteByte('"')
	}
	w.WriteByte('>')
}

func (w *htmlWriter) close(name string) {
	w.WriteString("</")
	w.WriteString(name)
	w.WriteByte('>')
}

func (w *htmlWriter) say(s string) { w.WriteString(html.EscapeString(clean(s))) }

// element writes an element that holds nothing but text.
func (w *htmlWriter) element(name, text string, attributes ...string) {
	w.open(name, attributes...)
	w.say(text)
	w.close(name)
}

// empty writes an element of SVG that holds nothing.
func (w *htmlWriter) empty(name string, attributes ...string) {
	w.open(name, attributes...)
	w.close(name)
}

// path draws lines, which are many characters, all of them ours.
func (w *htmlWriter) path(class, d string) {
	w.open("path", "class", class)
	w.Truncate(w.Len() - 1)
	w.WriteString(` d="` + d + `"></path>`)
}

// page writes a whole document.
func (w *htmlWriter) page(r *report) {
	w.WriteString("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">" +
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">" +
		"<meta name=\"color-scheme\" content=\"light dark\">")
	w.element("title", r.title)
	w.WriteString("<link rel=\"icon\" type=\"image/svg+xml\" href=\"?asset=icon.svg\">" +
		"<link rel=\"stylesheet\" href=\"?asset=page.css\">" +
		"<script src=\"?asset=page.js\" defer></script></head><body>" +
		"<a class=\"skip\" href=\"#main\">To the content</a>")
	w.header(r)
	w.WriteString("<main id=\"main\">\n")
	for _, s := range r.parts {
		w.section(s)
	}
	w.WriteString("</main></body></html>\n")
}

func (w *htmlWriter) header(r *report) {
	w.WriteString("<header id=\"header\">")
	w.element("h1", r.title)
	w.WriteString("<p id=\"live\" role=\"status\">As of when it was loaded; reload it for newer numbers.</p>")
	w.WriteString("<dl class=\"facts\">")
	for _, f := range r.facts {
		w.open("div", "title", f.help)
		w.element("dt", f.name)
		w.element("dd", f.value)
		w.WriteString("</div>")
	}
	w.WriteString("</dl>")
	for _, g := range r.links {
		w.open("nav", "aria-label", g.label)
		for _, l := range g.links {
			current := ""
			if l.current {
				current = "true"
			}
			w.element("a", l.text, "href", l.href, "aria-current", current)
		}
		w.WriteString("</nav>")
	}
	w.WriteString("</header>\n")
}

func (w *htmlWriter) section(s section) {
	class := ""
	if s.wide {
		class = "wide"
	}
	w.open("section", "id", s.id, "class", class, "aria-labelledby", s.id+"-title")
	w.element("h2", s.title, "id", s.id+"-title")
	for _, b := range s.blocks {
		b.html(w)
	}
	w.about(s)
	w.WriteString("</section>\n")
}

// about explains a section and every name in it, for those whom a title that
// appears under the mouse does not reach.
func (w *htmlWriter) about(s section) {
	var terms []term
	for _, b := range s.blocks {
		if t, ok := b.(interface{ terms() []term }); ok {
			terms = append(terms, t.terms()...)
		}
	}
	terms = append(terms, s.words...)
	if s.about == "" && len(terms) == 0 {
		return
	}
	w.WriteString("<details class=\"about\"><summary>What is this?</summary>")
	if s.about != "" {
		w.element("p", s.about)
	}
	if len(terms) > 0 {
		w.WriteString("<dl>")
		for _, t := range terms {
			w.WriteString("<div>")
			w.element("dt", t.name)
			w.element("dd", t.means)
			w.WriteString("</div>")
		}
		w.WriteString("</dl>")
	}
	w.WriteString("</details>")
}

func (n note) html(w *htmlWriter) { w.element("p", string(n), "class", "note") }

func (v verdict) html(w *htmlWriter) {
	w.open("p", "class", "verdict "+toneClass[v.tone])
	w.mark(v.tone)
	w.say(v.line)
	w.close("p")
}

// mark writes the sign of a tone, with its word for those who hear it.
func (w *htmlWriter) mark(t tone) {
	if t == calm {
		return
	}
	w.element("span", toneMark[t], "class", "mark", "role", "img", "aria-label", toneWord[t])
	w.WriteByte(' ')
}

func (f findings) html(w *htmlWriter) {
	w.WriteString("<ul class=\"findings\">")
	for _, one := range f {
		w.open("li", "class", toneClass[one.tone])
		w.WriteString("<p>")
		w.mark(one.tone)
		w.element("strong", one.matter)
		if one.where != "" {
			w.WriteByte(' ')
			w.element("a", "show", "href", "#"+one.where, "aria-label", "show: "+one.matter)
		}
		w.WriteString("</p>")
		if len(one.do) > 0 {
			w.WriteString("<ul>")
			for _, do := range one.do {
				w.element("li", do)
			}
			w.WriteString("</ul>")
		}
		w.WriteString("</li>")
	}
	w.WriteString("</ul>")
}

func (list tiles) html(w *htmlWriter) {
	w.WriteString("<dl class=\"tiles\">")
	for _, t := range list {
		w.open("div", "class", toneClass[t.tone], "title", t.help)
		w.element("dt", t.name)
		w.WriteString("<dd>")
		w.open("span", "class", "value")
		w.mark(t.tone)
		w.say(t.value)
		w.WriteString("</span>")
		if t.share >= 0 {
			(&bar{t.share, t.tone}).html(w)
		}
		w.element("span", t.detail, "class", "detail")
		w.WriteString("</dd></div>")
	}
	w.WriteString("</dl>")
}

func (list tiles) terms() []term {
	var terms []term
	for _, t := range list {
		terms = append(terms, term{t.name, t.help})
	}
	return terms
}

func (b *bar) html(w *htmlWriter) {
	share := min(max(b.share, 0), 1)
	percent := strconv.FormatFloat(share*100, 'f', 1, 64)
	w.open("svg", "class", "bar "+toneClass[b.tone], "role", "img", "aria-label", percent+" %", "height", "6", "width", "100%")
	w.empty("rect", "class", "track", "width", "100%", "height", "6", "rx", "3")
	if share > 0 {
		w.empty("rect", "class", "fill", "width", percent+"%", "height", "6", "rx", "3")
	}
	w.close("svg")
}

func (f fold) html(w *htmlWriter) {
	w.WriteString("<details>")
	w.element("summary", f.summary)
	for _, b := range f.blocks {
		b.html(w)
	}
	w.WriteString("</details>")
}
