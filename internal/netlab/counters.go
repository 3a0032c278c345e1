package netlab

import (
	"testing"

	"github.com/lastack/lastack/internal/procfs"
)

// Counters are the kernel's counts of events in a network namespace, by the
// names that nstat prints: TcpExtTW, TcpExtTCPAbortOnData, TcpOutRsts…
type Counters = procfs.Counters

// Counters reads the counters of the namespace.
func (*Lab) Counters(t testing.TB) Counters {
	t.Helper()
	c, err := procfs.ReadCounters()
	if err != nil {
		t.Fatalf("netlab: %v", err)
	}
	return c
}
