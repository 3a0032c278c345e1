package netlab

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Thread gives a benchmark a fresh network namespace, as Run does to a test:
// the calling goroutine, the sockets that it makes itself and the processes that
// it starts are in it, other goroutines are not. The goroutine keeps its thread,
// so both end together. It needs root.
func Thread(b *testing.B, opts ...Option) *Lab {
	b.Helper()
	runtime.LockOSThread() // and never unlocked: the thread is of no use to others
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		Missing(b, "a network namespace for a thread ("+err.Error()+")", "run as root")
	}
	enter(b, append(defaults[:len(defaults):len(defaults)], opts...))
	return new(Lab)
}
