package debug_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/lastack/lastack/metrics/debug"
	"github.com/lastack/lastack/metrics/debug/internal/sample"
)

// names are what whoever chooses the name of a host, a pool, a process or a
// place in a source file may try.
var names = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</title></script></style></svg>`,
	`javascript:alert(1)`, "&lt;b&gt;", "\x00\x01\x1b[2J\x1b]0;owned\x07", "\xff\xfe\xf0\x28\x8c\x28", "a\r\nSet-Cookie: x=y\r\n\r\n",
	"right\u202eleft\u2066\u200b\ufeff", strings.Repeat("a", 20_000), "]]>-->", "%s%n%d", "`${1}`", "\u2028\u2029",
}

// TestHostile shows accounts in which all names are an attacker's, in all three
// forms: none of them makes an element or an attribute, or gives an order to a
// terminal.
func TestHostile(t *testing.T) {
	// What the page is made of when nobody attacks, also without a name, where
	// attributes are missing.
	elements := make(map[string]bool)
	for _, name := range []string{"", "x"} {
		plain := page(t, debug.Config{Sources: []debug.Source{{Name: name, Accounts: sample.Hostile(name)}}, Diagnose: sample.FullMachine})
		maps.Copy(elements, tags(t, ask(plain, "GET", "/").Body.String()))
	}
	for _, name := range names {
		p := page(t, debug.Config{Sources: []debug.Source{{Name: name, Accounts: sample.Hostile(name)}}, Diagnose: sample.FullMachine})
		for tag := range tags(t, ask(p, "GET", "/").Body.String()) {
			if !elements[tag] {
				t.Errorf("%.100q makes %q", name, tag)
			}
		}
		text := ask(p, "GET", "/?format=text").Body.String()
		if !utf8.ValidString(text) {
			t.Errorf("%.100q: the text is not UTF-8", name)
		}
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }); i >= 0 {
			t.Errorf("%.100q: %q in the text", name, text[i:min(i+10, len(text))])
		}
		if body := ask(p, "GET", "/?format=json").Body.Bytes(); !json.Valid(body) || strings.ContainsAny(string(body), "<>") {
			t.Errorf("%.100q: the JSON is none, or would be HTML", name)
		}
	}
}

// tags returns the elements of a page, each with the names of its attributes,
// and fails if the page is not what html.go writes.
func tags(t testing.TB, page string) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	if !utf8.ValidString(page) {
		t.Error("the page is not UTF-8")
	}
	for part := range strings.SplitSeq(page, "<") {
		tag, text, ok := strings.Cut(part, ">")
		if !ok && part != "" {
			t.Fatalf("a < that is not of a tag: %q", part[:min(len(part), 80)])
		}
		if strings.ContainsAny(text, `>"'`) {
			t.Errorf("not escaped: %q", text[:min(len(text), 80)])
		}
		// name a="…" b="…"
		var shape strings.Builder
		for i, piece := range strings.Split(tag, `"`) {
			if i%2 == 0 {
				shape.WriteString(piece)
			}
		}
		found[shape.String()] = true
	}
	return found
}
