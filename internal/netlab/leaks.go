package netlab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// leakWait is how long what is ending may take to end.
const leakWait = 5 * time.Second

// Leaks counts the goroutines and the open descriptors. The function that it
// returns waits, for five seconds at most, until there are no more of either
// than there were, and fails the test with a list of the new ones otherwise.
func Leaks(t testing.TB) (check func()) {
	t.Helper()
	return leaksWithin(t, leakWait)
}

func leaksWithin(t testing.TB, wait time.Duration) (check func()) {
	wakePoller()
	before := takeInventory()
	return func() {
		t.Helper()
		var now inventory
		if poll(wait, func() bool {
			now = takeInventory()
			return len(now.goroutines) <= len(before.goroutines) && len(now.fds) <= len(before.fds)
		}) {
			return
		}
		t.Errorf("before: %d goroutines, %d descriptors; now: %d, %d; new ones:\n%s",
			len(before.goroutines), len(before.fds), len(now.goroutines), len(now.fds), now.without(before))
	}
}

// wakePoller makes the runtime open the two descriptors that its network poller
// keeps from its first use on.
func wakePoller() {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
}

// An inventory is what a process holds.
type inventory struct {
	goroutines map[string]string // stack by "goroutine 7"
	fds        map[string]string // target by number; empty where there is no /proc
}

func takeInventory() inventory {
	inv := inventory{goroutines: map[string]string{}, fds: map[string]string{}}
	for stack := range bytes.SplitSeq(allStacks(), []byte("\n\n")) {
		id, _, _ := strings.Cut(string(stack), " [")
		inv.goroutines[id] = string(stack)
	}
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		// The descriptor with which Glob read the directory is gone by now.
		if target, err := os.Readlink(link); err == nil {
			inv.fds[filepath.Base(link)] = target
		}
	}
	return inv
}

func allStacks() []byte {
	for size := 1 << 20; ; size *= 2 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size {
			return buf[:n]
		}
	}
}

// without lists what inv holds and before did not.
func (inv inventory) without(before inventory) string {
	var b strings.Builder
	for fd, target := range inv.fds {
		if before.fds[fd] != target {
			fmt.Fprintf(&b, "descriptor %s: %s\n", fd, target)
		}
	}
	for id, stack := range inv.goroutines {
		if _, old := before.goroutines[id]; !old {
			fmt.Fprintf(&b, "%s\n\n", stack)
		}
	}
	return b.String()
}
