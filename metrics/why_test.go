package metrics

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/lastack/lastack/linger"
)

// TestWhy follows a host through the ways in which connections come and go.
func TestWhy(t *testing.T) {
	var m Meter
	h := m.Host("h")
	dial := func(reason, want string, err error) *Conn {
		t.Helper()
		why := h.DialStart(reason)
		h.DialDone(Dial{Reason: why, Err: err})
		if why != want {
			t.Errorf("DialStart(%q) = %q, want %q", reason, why, want)
		}
		if err != nil {
			return nil
		}
		return h.Born(true)
	}
	a := dial(AllBusy, Cold, nil)
	b := dial(AllBusy, AllBusy, nil)
	c := dial(Spare, Spare, nil)
	d := dial(Warm, Warm, nil)
	a.Leave(IdleTimeout)
	b.Leave(Stale)
	dial(Asked, Asked, nil)
	dial(AllBusy, Stale, errors.New("refused"))
	dial(AllBusy, Stale, nil) // what it was for is still missing
	dial(AllBusy, IdleTimeout, nil)
	dial(AllBusy, AllBusy, nil)

	dial(MaxAge, MaxAge, errors.New("refused"))
	dial(MaxAge, MaxAge, nil)
	c.Leave(MaxAge) // it has been replaced
	dial(AllBusy, AllBusy, nil)

	last := dial(AllBusy, AllBusy, nil)
	last.Retire(MaxRequests)
	dial(AllBusy, MaxRequests, nil)
	last.Leave(MaxRequests)
	dial(AllBusy, AllBusy, nil)

	d.Closing()
	d.Ended(linger.PeerFirst, false)
	d.Leave(GoAway) // known late
	dial(Spare, GoAway, nil)
	dial(AllBusy, AllBusy, nil).Closing()
	dial(AllBusy, Closed, nil).Leave(Leak)
	dial(Warm, Warm, nil)
	dial(AllBusy, AllBusy, nil)

	want := map[string]uint64{Cold: 1, AllBusy: 7, MaxRequests: 1, Spare: 1, Warm: 2, Asked: 1, Stale: 2, IdleTimeout: 1, MaxAge: 2, GoAway: 1, Closed: 1}
	if got := m.Snapshot().DialedBy; !maps.Equal(got, want) {
		t.Errorf("dialled by %v, want %v", got, want)
	}
}

func TestGapsAreBounded(t *testing.T) {
	var g gaps
	for i := range 3 * maxRuns {
		g.left(fmt.Sprint(i))
		g.why(fmt.Sprint("ahead ", i), false)
	}
	if len(g.runs) != maxRuns || len(g.ahead) > maxReasons {
		t.Errorf("%d runs, %d ahead", len(g.runs), len(g.ahead))
	}
	for i := range maxRuns {
		if why := g.why(AllBusy, false); why != fmt.Sprint(3*maxRuns-1-i) {
			t.Fatalf("gap %d is for %q", i, why)
		}
	}
	if why := g.why(AllBusy, false); why != AllBusy {
		t.Errorf("after the last gap: %q", why)
	}
}
