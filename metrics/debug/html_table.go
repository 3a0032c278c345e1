package debug

func (t *table) html(w *htmlWriter) {
	if len(t.rows) == 0 {
		note(t.empty).html(w)
		return
	}
	// What is wider than the screen scrolls by itself, also by the keyboard.
	w.open("div", "class", "scroll", "role", "region", "tabindex", "0", "aria-label", t.caption)
	w.open("table", "class", t.class)
	quiet := ""
	if !t.titled {
		quiet = "quiet"
	}
	w.element("caption", t.caption, "class", quiet)
	w.WriteString("<thead><tr>")
	for _, c := range t.columns {
		w.element("th", c.name, "scope", "col", "class", c.class(), "title", c.help)
	}
	w.WriteString("</tr></thead><tbody>\n")
	for _, r := range t.rows {
		w.open("tr", "class", toneClass[r.tone])
		for i, c := range r.cells {
			w.cell(t.columns[i], c, i == 0, r.tone)
		}
		w.WriteString("</tr>\n")
	}
	w.WriteString("</tbody></table></div>")
	if t.more != "" {
		note(t.more).html(w)
	}
}

func (t *table) terms() []term {
	if len(t.rows) == 0 {
		return nil
	}
	var terms []term
	for _, c := range t.columns {
		if c.help != "" {
			terms = append(terms, term{c.name, c.help})
		}
	}
	return terms
}

func (c column) class() string {
	if c.number {
		return "number"
	}
	return ""
}

// cell writes one cell. Its column's name stands in it too, for narrow screens,
// where a row is a card.
func (w *htmlWriter) cell(col column, c cell, heads bool, t tone) {
	if heads {
		w.open("th", "scope", "row")
		w.mark(t)
	} else {
		w.open("td", "class", col.class(), "data-name", col.name)
	}
	if c.link != "" {
		w.open("a", "href", c.link)
	}
	for i, line := range c.lines {
		if i == 0 || line == "" {
			w.say(line)
			continue
		}
		w.element("span", line, "class", "detail")
	}
	if c.link != "" {
		w.close("a")
	}
	if c.bar != nil {
		c.bar.html(w)
	}
	if c.lane != nil {
		c.lane.html(w)
	}
	if heads {
		w.close("th")
	} else {
		w.close("td")
	}
}
