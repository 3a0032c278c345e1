package metricstest

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/sockdiag"
	"github.com/lastack/lastack/metrics"
)

// NoLeaks fails the test, when it is over, if the program has lost connections of
// the pool since this call: if response bodies were forgotten or held for too
// long, and where they were asked for; if connections are still busy five
// seconds later, which most often is a body that was not closed; and on Linux if
// a connection of the pool is in CLOSE_WAIT, since nobody closes it after its
// peer has. What rests is closed, if the pool has a CloseIdleConnections.
func NoLeaks(t testing.TB, p Pool) {
	t.Helper()
	m := p.Accounts()
	before := m.Snapshot()
	t.Cleanup(func() {
		t.Helper()
		for range 2 {
			runtime.GC() // finds bodies that are forgotten
		}
		after := settle(p, before.Busy, true)
		for _, h := range after.Hosts {
			was := hostOf(before, h.Name)
			if n := h.Leaks - was.Leaks; n > 0 {
				t.Errorf("metricstest: %s: %d response bodies were never closed%s", h.Name, n, sites(was, h))
			}
			if n := h.HeldBodies - was.HeldBodies; n > 0 {
				t.Errorf("metricstest: %s: %d response bodies were open for too long%s", h.Name, n, sites(was, h))
			}
			if n := h.Busy - was.Busy; n > 0 {
				t.Errorf("metricstest: %s: %d connections are still busy: is a body not closed, or a request not over?", h.Name, n)
			}
		}
		if err := after.Balance(); err != nil {
			t.Error(err)
		}
		closeWait(t, m)
	})
}

// sites lists where bodies were asked for that were counted since.
func sites(was, is metrics.HostSnapshot) string {
	var s strings.Builder
	for _, l := range is.LeakedAt {
		i := slices.IndexFunc(was.LeakedAt, func(w metrics.LeakSite) bool { return w.Site == l.Site })
		if i < 0 || l.Leak+l.Held > was.LeakedAt[i].Leak+was.LeakedAt[i].Held {
			s.WriteString("\n\t" + l.Site)
		}
	}
	return s.String()
}

// closeWait fails the test if the kernel has connections of the Meter's in CLOSE_WAIT.
func closeWait(t testing.TB, m *metrics.Meter) {
	t.Helper()
	diag, err := sockdiag.Open()
	if err != nil {
		return // this system does not tell
	}
	defer diag.Close()
	for _, l := range m.Lives() {
		if !l.Gone.IsZero() || !l.Local.IsValid() || !l.Remote.IsValid() {
			continue
		}
		stuck := func() bool {
			sock, found, err := diag.Find(l.Local, l.Remote)
			return err == nil && found && sock.State == sockdiag.CloseWait
		}
		if stuck() && !soon(func() bool { return !stuck() }) {
			t.Errorf("metricstest: %s: a connection is in CLOSE_WAIT: its peer has closed it and the program has not (%v to %v%s)", l.Host, l.Local, l.Remote, reason(l))
		}
	}
}

// soon waits a moment for cond, since a FIN may have come just now.
func soon(cond func() bool) bool {
	for began := time.Now(); time.Since(began) < moment; {
		if cond() {
			return true
		}
		time.Sleep(look)
	}
	return cond()
}

func reason(l metrics.Life) string {
	if l.Reason == "" {
		return ""
	}
	return fmt.Sprintf("; it left for %s", l.Reason)
}
