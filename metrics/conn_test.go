package metrics

import (
	"fmt"
	"testing"

	"github.com/lastack/lastack/linger"
)

// TestConn has every sequence of up to five calls and looks whether the
// connection is where it should be: counted once, with one reason at the end.
func TestConn(t *testing.T) {
	calls := []struct {
		name string
		call func(*Conn)
		next map[uint32]uint32 // where it does anything
	}{
		{"Rest", (*Conn).Rest, map[uint32]uint32{busy: resting}},
		{"Busy", (*Conn).Busy, map[uint32]uint32{resting: busy}},
		{"Leave", func(c *Conn) { c.Leave(MaxAge) }, map[uint32]uint32{busy: leaving, resting: leaving}},
		{"Closing", (*Conn).Closing, map[uint32]uint32{busy: leaving, resting: leaving}},
		{"Ended", func(c *Conn) { c.Ended(linger.PeerFirst, true) }, map[uint32]uint32{busy: ended, resting: ended, leaving: ended}},
		{"TimeWait", (*Conn).TimeWait, nil},
	}
	const length = 5
	sequences := 1
	for range length {
		sequences *= len(calls)
	}
	for i := range sequences {
		var m Meter
		c := m.Host("h").Born(true)
		at, path, left, timeWait := busy, "", "", uint64(0)
		for n, rest := 0, i; n < length; n, rest = n+1, rest/len(calls) {
			call := calls[rest%len(calls)]
			call.call(c)
			path += " " + call.name
			if to, ok := call.next[at]; ok {
				at = to
			}
			switch {
			case call.name == "Leave":
				left = MaxAge
			case call.name == "Ended" && left == "":
				left = Closed
			case call.name == "TimeWait":
				timeWait = 1
			}
		}
		s := m.Snapshot()
		got := fmt.Sprint(s.Busy, s.Resting, s.Leaving, s.Ended[linger.PeerFirst], s.Hurried)
		want := map[uint32]string{busy: "1 0 0 0 0", resting: "0 1 0 0 0", leaving: "0 0 1 0 0", ended: "0 0 0 1 1"}[at]
		if got != want || s.TimeWaits != timeWait || s.Balance() != nil {
			t.Fatalf("%s: busy, resting, leaving, ended, hurried = %s, want %s; %d TIME_WAITs, want %d; %v", path, got, want, s.TimeWaits, timeWait, s.Balance())
		}
		if left == "" && len(s.Reasons) != 0 || left != "" && (len(s.Reasons) != 1 || s.Reasons[left] != 1) {
			t.Fatalf("%s: reasons %v, want one %q", path, s.Reasons, left)
		}
	}
}

func TestFirstReasonCounts(t *testing.T) {
	var m Meter
	c := m.Host("h").Born(true)
	c.Leave("")
	c.Leave(GoAway)
	c.Leave(Shutdown)
	c.Ended(linger.Ending(200), false)
	s := m.Snapshot()
	if len(s.Reasons) != 1 || s.Reasons[GoAway] != 1 {
		t.Errorf("reasons %v, want one %q", s.Reasons, GoAway)
	}
	if s.Ended[linger.Unknown] != 1 {
		t.Errorf("an ending that nobody knows counts as %v", s.Ended)
	}
}

func TestSplit(t *testing.T) {
	for _, tt := range []struct{ live, busy, resting int64 }{
		{0, 0, 0},
		{3 * oneBusy, 3, 0},
		{3 * oneResting, 0, 3},
		{2*oneBusy + 5*oneResting, 2, 5},
		{-oneBusy + 5*oneResting, 0, 4},
		{2*oneBusy - oneResting, 1, 0},
	} {
		if busy, resting := split(tt.live); busy != tt.busy || resting != tt.resting {
			t.Errorf("split(%#x) = %d, %d; want %d, %d", tt.live, busy, resting, tt.busy, tt.resting)
		}
	}
}
