package main

import (
	"strings"
	"testing"
)

func TestLeavesNoTimeWait(t *testing.T) {
	if out := output(t); !strings.Contains(out, "TIME_WAITs:  0;") {
		t.Errorf("no %q in\n%s", "TIME_WAITs:  0;", out)
	}
}
