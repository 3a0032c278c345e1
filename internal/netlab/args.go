package netlab

import (
	"flag"
	"regexp"
	"strings"
	"testing"
	"time"
)

// testArgs are the arguments with which the test binary runs t alone.
func testArgs(t *testing.T) []string {
	elements := strings.Split(t.Name(), "/")
	for i, e := range elements {
		elements[i] = "^" + regexp.QuoteMeta(e) + "$"
	}
	args := []string{
		"-test.run=" + strings.Join(elements, "/"),
		"-test.v=true",
		"-test.count=1",
	}
	if testing.Short() {
		args = append(args, "-test.short=true")
	}
	if deadline, ok := t.Deadline(); ok {
		// A little less than is left, so that a test that hangs prints its
		// goroutines before its parent gives up.
		left := max(time.Until(deadline)*9/10, time.Second)
		args = append(args, "-test.timeout="+left.String())
	}
	// What the process covers is written beside what its parent covers, and go
	// test adds them up. The profile itself is the parent's to write.
	if f := flag.Lookup("test.gocoverdir"); f != nil && f.Value.String() != "" {
		args = append(args, "-test.gocoverdir="+f.Value.String())
	}
	return args
}
