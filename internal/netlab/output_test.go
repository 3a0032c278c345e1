package netlab

import (
	"strings"
	"testing"
)

func TestPassOn(t *testing.T) {
	var b strings.Builder
	p := &passOn{to: &b}
	for _, piece := range []string{"=== RUN   TestX\n    x_test.go:1: 42 TI", "ME_WAIT\n--- PASS: TestX (0.00s)\nPASS\nlast"} {
		p.Write([]byte(piece))
	}
	p.flush()
	if got, want := b.String(), "    x_test.go:1: 42 TIME_WAIT\nlast\n"; got != want {
		t.Errorf("passed on %q, want %q", got, want)
	}
}
