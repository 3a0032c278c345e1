package metrics_test

import (
	"testing"
	"time"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// TestGhostLost: a connection that any other pool, or net/http's, would have been
// without after a request is not claimed, and not kept.
func TestGhostLost(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lose  func(h *metrics.Host, c *metrics.Conn)
		curve uint64 // what a pool that keeps 63 dials for ten after ten
	}{
		{"upgraded", func(h *metrics.Host, c *metrics.Conn) { c.Retire(metrics.Upgraded) }, 20},
		{"drained", func(h *metrics.Host, c *metrics.Conn) { h.Drained() }, 10}, // only net/http doesn't
		{"returned", func(h *metrics.Host, c *metrics.Conn) {}, 10},
	} {
		m := new(metrics.Meter)
		h := m.Host("host")
		for range 2 {
			now := time.Now()
			for range 10 {
				h.Lease(now, false)
			}
			for range 10 {
				c := h.Born(true)
				tt.lose(h, c)
				h.Return(now.Add(time.Millisecond), now)
				c.Ended(linger.PeerFirst, false)
			}
		}
		s := m.Snapshot()
		want, dials := uint64(0), uint64(20)
		if tt.name == "returned" {
			want, dials = 16, 18
		}
		if got := s.WouldHave[metrics.NetHTTPDefault]; got != want {
			t.Errorf("%s: %d TIME_WAITs are claimed, want %d", tt.name, got, want)
		}
		if got := s.WouldDial[metrics.NetHTTPDefault]; got != dials {
			t.Errorf("%s: net/http would have dialled %d, want %d", tt.name, got, dials)
		}
		curve := s.Hosts[0].Curve
		if got := curve[len(curve)-1].Dials; got != tt.curve {
			t.Errorf("%s: a pool that keeps all would have dialled %d, want %d", tt.name, got, tt.curve)
		}
	}
}

// TestRetiredFor: a connection that was retired, and for which nobody says why it
// left, has left for what it was retired.
func TestRetiredFor(t *testing.T) {
	m := new(metrics.Meter)
	c := m.Host("host").Born(true)
	c.Retire(metrics.Upgraded)
	c.Ended(linger.PeerFirst, false)
	if s := m.Snapshot(); s.Reasons[metrics.Upgraded] != 1 || len(s.Reasons) != 1 {
		t.Errorf("left for %v", s.Reasons)
	}
	if l := m.Lives()[0]; l.Reason != metrics.Upgraded {
		t.Errorf("its life says %q", l.Reason)
	}
	c.Leave(metrics.Error) // late
	if s := m.Snapshot(); s.Reasons[metrics.Error] != 1 || s.Reasons[metrics.Upgraded] != 0 {
		t.Errorf("left for %v", s.Reasons)
	}
}

// TestRetiredLate: what a connection is retired for after its end takes the place of
// "closed".
func TestRetiredLate(t *testing.T) {
	for _, gone := range []bool{false, true} {
		m := new(metrics.Meter)
		h := m.Host("host")
		c := h.Born(true)
		c.Closing()
		if gone {
			c.Ended(linger.PeerFirst, false)
		}
		c.Retire(metrics.Upgraded)
		c.Retire(metrics.MaxAge) // the first counts
		if why := h.DialStart(metrics.AllBusy); why != metrics.Upgraded {
			t.Errorf("dialled for %q", why)
		}
		c.Ended(linger.PeerFirst, false)
		if s := m.Snapshot(); s.Reasons[metrics.Upgraded] != 1 || len(s.Reasons) != 1 {
			t.Errorf("left for %v", s.Reasons)
		}
	}
}
