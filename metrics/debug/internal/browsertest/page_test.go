package browsertest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/debug"
	"github.com/lastack/lastack/metrics/debug/internal/sample"
)

func calm() debug.Config {
	return debug.Config{Sources: []debug.Source{{Name: "payments", Accounts: sample.Calm()}}, Diagnose: sample.CalmMachine}
}

func trouble() debug.Config {
	return debug.Config{
		Sources:  []debug.Source{{Name: "payments", Accounts: sample.Trouble()}, {Name: "search", Accounts: sample.Calm()}},
		Diagnose: sample.FullMachine,
	}
}

func nothing() debug.Config {
	return debug.Config{Sources: []debug.Source{{Name: "payments", Accounts: &metrics.Meter{}}}}
}

// unfold shows all that can be folded, or hides it.
func unfold(open bool) string {
	return fmt.Sprintf(`(document.querySelectorAll("details").forEach(d => d.open = %v), true)`, open)
}

// widerThanScreen names the elements that make the page wider than the screen.
const widerThanScreen = `[...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, .skip, .quiet, svg") && e.checkVisibility() &&
	e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 120))`

// sections are what every page has.
var sections = []string{"act", "receipt", "now", "plots", "hosts", "whatif", "machine", "leaks", "lives"}

// TestRenders opens the page in all its states and looks at it dark and light,
// wide and narrow: everything is there, nothing is wider than the screen, what
// is written can be read, and the browser does not complain.
func TestRenders(t *testing.T) {
	for name, config := range map[string]func() debug.Config{"calm": calm, "trouble": trouble, "nothing": nothing} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, server := serve(t, config())
			b := open(t, url, screen(1280, "light")...)
			b.until("the page is live", `document.getElementById("live").className === "on"`)
			for _, id := range sections {
				if !eval[bool](b, `document.querySelector("section#`+id+` h2") !== null`) {
					t.Errorf("no section %q", id)
				}
			}
			for _, width := range []int64{1280, 400} {
				for _, scheme := range []string{"light", "dark"} {
					b.do(screen(width, scheme)...)
					b.looksWell(width, scheme)
					b.shoot(fmt.Sprintf("page-%s-%d-%s", name, width, scheme))
				}
			}
			b.calm(server.URL)
		})
	}
}

// looksWell fails the test if something cannot be seen on the screen.
func (b *tab) looksWell(width int64, scheme string) {
	b.t.Helper()
	eval[bool](b, unfold(true))
	defer eval[bool](b, unfold(false))
	if wide := eval[[]string](b, widerThanScreen); len(wide) > 0 {
		b.t.Errorf("wider than the screen of %d: %s", width, strings.Join(wide, "\n"))
	}
	if got := eval[int64](b, `document.documentElement.scrollWidth`); got > width {
		b.t.Errorf("it scrolls sideways: it is %d wide on a screen of %d", got, width)
	}
	if dark := eval[bool](b, `getComputedStyle(document.body).backgroundColor.match(/\d+/g).reduce((a, b) => a + +b, 0) < 300`); dark != (scheme == "dark") {
		b.t.Errorf("%s: the background is dark: %v", scheme, dark)
	}
	if found := eval[[]string](b, faint+`.map(e => e.outerHTML.slice(0, 150))`); len(found) > 0 {
		b.t.Errorf("%s: too faint for what is behind it:\n%s", scheme, strings.Join(found, "\n"))
	}
}

// TestAccessible: what is drawn has words, tables have headings, and every
// heading is below one of the level above.
func TestAccessible(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, trouble())
	b := open(t, url, screen(1280, "light")...)
	for what, expression := range map[string]string{
		"pictures without words":         `[...document.querySelectorAll("svg")].filter(e => !e.parentElement.closest("svg") && !e.getAttribute("aria-label") && e.getAttribute("aria-hidden") !== "true")`,
		"tables without a caption":       `[...document.querySelectorAll("table")].filter(e => !e.caption?.textContent)`,
		"columns without a scope":        `[...document.querySelectorAll("thead th")].filter(e => e.scope !== "col")`,
		"rows without a heading":         `[...document.querySelectorAll("tbody tr")].filter(e => e.cells[0].scope !== "row")`,
		"names that are not unique":      `[...document.querySelectorAll("[id]")].filter(e => document.querySelectorAll("#" + CSS.escape(e.id)).length > 1)`,
		"sections without a name":        `[...document.querySelectorAll("section")].filter(e => !document.getElementById(e.getAttribute("aria-labelledby")))`,
		"links to nowhere":               `[...document.querySelectorAll("a[href^='#']")].filter(e => !document.querySelector(e.getAttribute("href")))`,
		"styles that the policy forbids": `[...document.querySelectorAll("[style]")]`,
		"headings that skip a level":     `[...document.querySelectorAll("h1, h2, h3")].filter((e, i, all) => +e.localName[1] - (i ? +all[i - 1].localName[1] : 0) > 1)`,
	} {
		if found := eval[[]string](b, `(`+expression+`).map(e => e.outerHTML.slice(0, 150))`); len(found) > 0 {
			t.Errorf("%s:\n%s", what, strings.Join(found, "\n"))
		}
	}
	// By keyboard: the first stop leads to the content, and what scrolls can be reached.
	b.do(chromedp.KeyEvent("\t"))
	if got := eval[string](b, `document.activeElement.getAttribute("href")`); got != "#main" {
		t.Errorf("the first stop of the keyboard is %q", got)
	}
}

// faint are the elements with text whose contrast is below 4.5 (WCAG 2.2, 1.4.3).
const faint = `(() => {
	const parse = c => c.match(/[\d.]+/g).map(Number);
	const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const back = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
	return [...document.querySelectorAll("body *")].filter(e => !e.closest("svg, .skip") && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).filter(e => {
		const [a, b] = [light(parse(getComputedStyle(e).color)), light(back(e))].sort((x, y) => y - x);
		return (a + 0.05) / (b + 0.05) < 4.5;
	});
})()`
