package netlab

import (
	"testing"
	"time"
)

// pollEvery is how often a condition is looked at. The kernel does not tell
// anybody when a socket changes its state, so tests have to look again.
const pollEvery = 2 * time.Millisecond

// Eventually waits until cond holds, and fails the test when it still does not
// after the given time. It replaces every sleep in a test that waits for the
// kernel or for another process.
func Eventually(t testing.TB, within time.Duration, what string, cond func() bool) {
	t.Helper()
	if !poll(within, cond) {
		t.Fatalf("not within %v: %s", within, what)
	}
}

// poll reports whether cond came to hold. However slow the machine, cond is
// asked once more after the time is over.
func poll(within time.Duration, cond func() bool) bool {
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(pollEvery) {
		if cond() {
			return true
		}
	}
	return cond()
}
