package metrics

import (
	"net/netip"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/sockdiag"
)

func pairNumber(n int) (local, remote netip.AddrPort) {
	addr := netip.AddrFrom4([4]byte{10, 0, byte(n >> 24), byte(n >> 16)})
	return netip.AddrPortFrom(addr, uint16(n)), netip.MustParseAddrPort("10.1.1.1:443")
}

// socketNumber is a TIME_WAIT that is about to go.
func socketNumber(n int) sockdiag.Socket {
	s := sockdiag.Socket{State: sockdiag.TimeWait, Timer: 3}
	s.Local, s.Remote = pairNumber(n)
	return s
}

// TestOursForgets: what has ended is remembered as long as its TIME_WAIT may
// stand, from when that was seen, and a 4-tuple may be used again meanwhile.
func TestOursForgets(t *testing.T) {
	var o ours
	now := time.Now()
	claims := func() (got []claim) {
		q := query{ours: &o, now: now, found: func(_ int, c claim) { got = append(got, c) }}
		q.add(socketNumber(1))
		q.add(socketNumber(2))
		q.flush()
		return got
	}
	p, _ := pairOf(pairNumber(1))
	first, second := o.begin(pairNumber(1)), o.begin(pairNumber(2))
	o.end(first, now, 0)
	o.end(first, now, 0)
	o.end(second, now, 0)
	now = now.Add(remember - time.Second)
	o.count(second, now)
	again := o.begin(pairNumber(1))
	now = now.Add(2 * time.Second)
	if got := claims(); got[0] != claimed || got[1] != counted || o.pairs[p] != again || o.alive != 1 {
		t.Errorf("%v, %d alive", got, o.alive)
	}
	o.end(again, now, 0)
	now = now.Add(remember)
	if got := claims(); got[0] != others || got[1] != others || len(o.pairs)+len(o.gone) != 0 {
		t.Errorf("%d pairs are known for ever", len(o.pairs))
	}
	if o.begin(netip.AddrPort{}, netip.AddrPort{}) != nil {
		t.Error("a connection without addresses has a 4-tuple")
	}
	if want := "10.0.0.0:1 → 10.1.1.1:443"; p.String() != want {
		t.Errorf("%v, want %s", p, want)
	}
	o.end(nil, now, 0)
	o.count(nil, now)
}

func TestOursAreBounded(t *testing.T) {
	var o ours
	now := time.Now()
	for i := range maxAlivePairs + 10 {
		o.begin(pairNumber(i))
	}
	if len(o.pairs) != maxAlivePairs {
		t.Errorf("%d connections are known", len(o.pairs))
	}
	for _, own := range o.pairs {
		o.end(own, now, 0)
	}
	// A query goes through more than it takes at a time.
	mine := 0
	q := query{ours: &o, now: now, found: func(_ int, c claim) {
		if c == claimed {
			mine++
		}
	}}
	for i := range maxAlivePairs {
		q.add(socketNumber(i))
	}
	q.flush()
	if mine != maxGonePairs {
		t.Errorf("%d of them are found", mine)
	}
	if len(o.pairs) != maxGonePairs || len(o.gone)-o.first != maxGonePairs {
		t.Errorf("of those that have ended %d are known", len(o.pairs))
	}
}

// TestOthersComeAfterUs: who uses a 4-tuple when we have done with it is not us.
func TestOthersComeAfterUs(t *testing.T) {
	for _, tt := range []struct {
		name  string
		took  time.Duration // from our connection's close to its end
		age   time.Duration // since that
		state sockdiag.State
		old   time.Duration // since when there is a TIME_WAIT
		want  claim
	}{
		{"it came with our end", 0, 30 * time.Second, sockdiag.TimeWait, 30 * time.Second, claimed},
		{"a moment later", 0, 30 * time.Second, sockdiag.TimeWait, 29 * time.Second, claimed},
		{"it is another's", 0, 30 * time.Second, sockdiag.TimeWait, 20 * time.Second, others},
		{"our end was not certain", settled, 30 * time.Second, sockdiag.TimeWait, 20 * time.Second, claimed},
		{"another's connection", 0, 30 * time.Second, sockdiag.Established, 0, others},
		{"the kernel still delivers", 0, 30 * time.Second, sockdiag.LastAck, 0, claimed},
	} {
		var o ours
		now := time.Now()
		o.end(o.begin(pairNumber(1)), now, tt.took)
		s := socketNumber(1)
		s.State, s.Expires = tt.state, timeWaitLasts-tt.old
		if tt.state != sockdiag.TimeWait {
			s.Timer, s.Expires = 0, 0
		}
		got := claimed
		q := query{ours: &o, now: now.Add(tt.age), found: func(_ int, c claim) { got = c }}
		q.add(s)
		if q.flush(); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	var o ours
	o.begin(pairNumber(1))
	q := query{ours: &o, now: time.Now(), found: func(_ int, c claim) {
		if c != claimed {
			t.Errorf("a connection that is there is %v", c)
		}
	}}
	q.add(sockdiag.Socket{Local: socketNumber(1).Local, Remote: socketNumber(1).Remote, State: sockdiag.Established})
	q.flush()
}
