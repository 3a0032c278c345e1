package metricstest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/metrics"
)

// NoTimeWait fails the test, when it is over, if connections of the pool have
// left a TIME_WAIT here since this call. It says of which host, why the
// connections left and how they ended. What still rests then is closed, if the
// pool has a CloseIdleConnections, and what is closed is waited for, up to ten
// seconds.
//
// It also fails the test if there were connections whose ending nobody sees
// (see [metrics.Snapshot]'s Unmanaged), and on Linux if the kernel holds a TIME_WAIT
// of the pool's that the accounts do not have. Connections that are busy when
// the test is over are for [NoLeaks] to find.
//
// Elsewhere than on Linux, where the kernel does not tell and FIN-then-reset is
// missing, most connections that this side closes count as a TIME_WAIT, and such
// tests fail: see package linger.
func NoTimeWait(t testing.TB, p Pool) {
	t.Helper()
	m := p.Accounts()
	before, began := m.Snapshot(), time.Now()
	t.Cleanup(func() {
		t.Helper()
		after := settle(p, 0, false)
		if after.Leaving > 0 {
			t.Errorf("metricstest: %d connections have not ended %v after the test", after.Leaving, goodbyes)
		}
		for _, h := range after.Hosts {
			was := hostOf(before, h.Name)
			if n := h.TimeWaits - was.TimeWaits; n > 0 {
				t.Errorf("metricstest: %s: %d TIME_WAITs; connections left for: %s; they ended: %s%s", h.Name, n,
					grown(was.Reasons, h.Reasons), grown(was.Ended, h.Ended), left(m, h.Name, began))
			}
			if n := h.Unmanaged - was.Unmanaged; n > 0 {
				t.Errorf("metricstest: %s: nobody sees how %d connections end, nor whether they leave TIME_WAITs: they are no *net.TCPConn", h.Name, n)
			}
		}
		// A system that does not tell is no failure.
		if r, err := m.Reconcile(context.Background()); err == nil && r.Checked && !r.Agrees {
			t.Errorf("metricstest: the kernel does not agree with the accounts: %s", r.Why)
		}
	})
}

// hostOf returns the accounts of a host.
func hostOf(s metrics.Snapshot, name string) metrics.HostSnapshot {
	for _, h := range s.Hosts {
		if h.Name == name {
			return h
		}
	}
	return metrics.HostSnapshot{}
}

// grown lists by how much counts have grown, the largest first.
func grown[K cmp.Ordered](before, after map[K]uint64) string {
	more := make(map[K]uint64)
	for k, n := range after {
		if n > before[k] {
			more[k] = n - before[k]
		}
	}
	if len(more) == 0 {
		return "none"
	}
	var parts []string
	for _, k := range slices.SortedFunc(maps.Keys(more), func(a, b K) int { return cmp.Or(cmp.Compare(more[b], more[a]), cmp.Compare(a, b)) }) {
		parts = append(parts, fmt.Sprintf("%v %d", k, more[k]))
	}
	return strings.Join(parts, ", ")
}

// left tells of the newest connections that left a TIME_WAIT.
func left(m *metrics.Meter, host string, since time.Time) string {
	var b strings.Builder
	const some = 5
	n := 0
	lives := m.Lives()
	for i := len(lives) - 1; i >= 0 && n < some; i-- {
		if l := lives[i]; l.Host == host && l.TimeWait && l.Gone.After(since) {
			n++
			fmt.Fprintf(&b, "\n\t%v to %v: left for %s, ended %v after %v and %d requests", l.Local, l.Remote, l.Reason, l.Ending, l.Gone.Sub(l.Born).Round(time.Millisecond), l.Requests)
		}
	}
	return b.String()
}
