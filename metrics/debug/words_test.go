package debug

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// TestEveryReasonIsExplained: no reason that package metrics has is left to be
// guessed, and none is explained that it does not have.
func TestEveryReasonIsExplained(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	reasons := make(map[string]bool)
	for _, d := range file.Decls {
		if d, ok := d.(*ast.GenDecl); ok && d.Tok == token.CONST {
			for _, spec := range d.Specs {
				spec := spec.(*ast.ValueSpec)
				value, ok := spec.Values[0].(*ast.BasicLit)
				if !ok || !spec.Names[0].IsExported() {
					continue
				}
				reason, _ := strconv.Unquote(value.Value)
				reasons[reason] = true
				if reasonHelp[reason] == "" {
					t.Errorf("%s is not explained", reason)
				}
			}
		}
	}
	if len(reasons) != len(reasonHelp) || len(reasons) < 20 {
		t.Errorf("%d reasons, %d explained", len(reasons), len(reasonHelp))
	}
	for _, e := range linger.Endings() {
		if endingLooks[e].help == "" {
			t.Errorf("%v is not explained", e)
		}
	}
}

// TestWordsAreExplained: what an owner of a real pool finds on the page stands
// there with what it means, in the text too.
func TestWordsAreExplained(t *testing.T) {
	meter := &metrics.Meter{}
	h := meter.Host("example.com:80")
	conn := func(why string) *metrics.Conn {
		why = h.DialStart(why)
		h.DialDone(metrics.Dial{Reason: why, Total: time.Millisecond})
		c := h.Born(true)
		c.SetDialed(why)
		return c
	}
	c := conn(metrics.AllBusy)
	c.Leave(metrics.Canceled)
	c.Ended(linger.FinReset, false)
	conn(metrics.AllBusy)
	p, err := New(Config{Sources: []Source{{"x", meter}}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, format := range []string{"html", "text"} {
		r := httptest.NewRequest("GET", "http://localhost/?format="+format, nil)
		r.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		for _, want := range []string{"there had been no connection to the host yet", "The program gave up its request", "reset once the peer had everything"} {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s: no %q in\n%s", format, want, w.Body)
			}
		}
	}
}

// TestEarlierRequests: a connection of which only the last uses are kept does not
// look as if it had rested before them.
func TestEarlierRequests(t *testing.T) {
	meter := &metrics.Meter{}
	c := meter.Host("example.com:80").Born(true)
	start := time.Now()
	v := &view{look: &look{at: start.Add(time.Minute)}}
	for i := range 40 {
		at := start.Add(time.Duration(i) * time.Second)
		c.Leased(at)
		c.Rest()
		l := meter.Lives()[0]
		if want := min(i+1, keptUses); len(l.Uses) != want {
			t.Fatalf("%d uses of %d are kept, want %d", len(l.Uses), i+1, want)
		}
		drawn := v.lifeRow(l, start).cells[1].lane
		if pale := strings.Contains(drawn.String(), "░"); i >= 2*keptUses && !pale || i < keptUses && pale { // in between it may be less than a letter
			t.Fatalf("after %d requests: %s", i+1, drawn)
		}
		var w htmlWriter
		drawn.html(&w)
		if pale := strings.Contains(w.String(), "earlier"); pale != (i >= keptUses) {
			t.Fatalf("after %d requests: %s", i+1, w.String())
		}
	}
}
