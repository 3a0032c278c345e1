package metrics

import (
	"net/netip"
	"testing"
	"time"
)

func pairNumber(n int) (local, remote netip.AddrPort) {
	addr := netip.AddrFrom4([4]byte{10, 0, byte(n >> 24), byte(n >> 16)})
	return netip.AddrPortFrom(addr, uint16(n)), netip.MustParseAddrPort("10.1.1.1:443")
}

// TestOursForgets: what has ended is remembered as long as its TIME_WAIT may
// stand, from when that was seen, and a 4-tuple may be used again meanwhile.
func TestOursForgets(t *testing.T) {
	var o ours
	now := time.Now()
	claims := func() (got []claim) {
		q := query{ours: &o, now: now, found: func(_ int, c claim) { got = append(got, c) }}
		q.add(pairNumber(1))
		q.add(pairNumber(2))
		q.flush()
		return got
	}
	p, _ := pairOf(pairNumber(1))
	first, second := o.begin(pairNumber(1)), o.begin(pairNumber(2))
	o.end(first, now)
	o.end(first, now)
	o.end(second, now)
	now = now.Add(remember - time.Second)
	o.count(second, now)
	again := o.begin(pairNumber(1))
	now = now.Add(2 * time.Second)
	if got := claims(); got[0] != claimed || got[1] != counted || o.pairs[p] != again || o.alive != 1 {
		t.Errorf("%v, %d alive", got, o.alive)
	}
	o.end(again, now)
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
	o.end(nil, now)
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
		o.end(own, now)
	}
	// A query goes through more than it takes at a time.
	mine := 0
	q := query{ours: &o, now: now, found: func(_ int, c claim) {
		if c == claimed {
			mine++
		}
	}}
	for i := range maxAlivePairs {
		q.add(pairNumber(i))
	}
	q.flush()
	if mine != maxGonePairs {
		t.Errorf("%d of them are found", mine)
	}
	if len(o.pairs) != maxGonePairs || len(o.gone)-o.first != maxGonePairs {
		t.Errorf("of those that have ended %d are known", len(o.pairs))
	}
}
