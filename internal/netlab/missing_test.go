package netlab

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// A fake is a testing.TB that only notes how the test would have ended. What
// ends a test ends the goroutine.
type fake struct {
	testing.TB
	skipped, failed bool
	said            strings.Builder
}

func (*fake) Helper() {}

func (f *fake) Errorf(format string, args ...any) {
	f.failed = true
	fmt.Fprintf(&f.said, format, args...)
}

func (f *fake) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

func (f *fake) Skipf(format string, args ...any) {
	f.skipped = true
	fmt.Fprintf(&f.said, format, args...)
	runtime.Goexit()
}

// play runs f as a test of its own and returns how it ended.
func play(t *testing.T, f func(testing.TB)) *fake {
	ended, done := &fake{TB: t}, make(chan struct{})
	go func() {
		defer close(done)
		f(ended)
	}()
	<-done
	return ended
}

// A peer that CI lacks would otherwise go unnoticed for years.
func TestMissing(t *testing.T) {
	for ci, fails := range map[string]bool{"true": true, "1": true, "": false, "false": false} {
		t.Setenv("CI", ci)
		end := play(t, func(tb testing.TB) { Missing(tb, "a unicorn", "look in the forest") })
		if end.failed != fails || end.skipped == fails {
			t.Errorf("CI=%q: failed %v, skipped %v", ci, end.failed, end.skipped)
		}
		if said := end.said.String(); !strings.Contains(said, "a unicorn") || !strings.Contains(said, "look in the forest") {
			t.Errorf("CI=%q: it does not say what is missing, and where to get it: %q", ci, said)
		}
	}
}

func TestMissingProgram(t *testing.T) {
	t.Setenv("CI", "true")
	end := play(t, func(tb testing.TB) { program(tb, "no-such-program", "write it") })
	if !end.failed {
		t.Error("the test goes on without the program")
	}
}
