package netlab

import (
	"os"
	"sync/atomic"
	"testing"

	"github.com/lastack/lastack/internal/witness"
)

// verdictEnv marks a process that Run has started. It names the file into which
// the test there writes how it ended.
const verdictEnv = "LASTACK_NETLAB_VERDICT"

// A Lab is a network namespace that belongs to one test.
type Lab struct {
	lastPort atomic.Uint32 // of the servers
	tables   atomic.Uint32 // of nftables, for their names
}

// Run calls f in a fresh network namespace, in which lo is up. It does so in a
// new process that runs this one test; in the process that go test started, f
// is not called and Run returns, or ends the test, as the test there did. Code
// outside f therefore runs twice, so Run is best a test's only statement.
//
// When f returns, the TIME_WAITs that our connections in its process have left
// must be those that we have counted, one by one.
func Run(t *testing.T, f func(lab *Lab), opts ...Option) {
	t.Helper()
	path := os.Getenv(verdictEnv)
	if path == "" {
		supervise(t)
		return
	}
	t.Cleanup(func() { writeVerdict(t, path) })
	enter(t, append(defaults[:len(defaults):len(defaults)], opts...))
	b := openBooks(t)
	witness.Hear(b.note)
	f(new(Lab))
	b.check(t)
}

// writeVerdict is the first cleanup of the test, so it runs last and sees what
// the others found.
func writeVerdict(t *testing.T, path string) {
	verdict := verdictPass
	switch {
	case t.Failed():
		verdict = verdictFail
	case t.Skipped():
		verdict = verdictSkip
	}
	if err := os.WriteFile(path, []byte(verdict), 0o600); err != nil {
		t.Errorf("netlab: %v", err)
	}
}

const (
	verdictPass = "pass"
	verdictSkip = "skip"
	verdictFail = "fail"
)
