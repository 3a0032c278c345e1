package dialer

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lastack/lastack/linger"
)

var (
	four1, four2 = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	six          = netip.MustParseAddr("fd00::1")
	to4          = netip.MustParseAddrPort("192.0.2.1:80")
	to6          = netip.MustParseAddrPort("[2001:db8::1]:80")
)

func wantPick(t *testing.T, s *sources, list []netip.Addr, to netip.AddrPort, failed []netip.Addr, want netip.Addr) {
	t.Helper()
	if got, ok := s.pick(list, to, failed, true, time.Now()); got != want || ok != want.IsValid() {
		t.Errorf("picked %v (%v) for %v, want %v", got, ok, to, want)
	}
}

func TestLeastUsedSource(t *testing.T) {
	list := []netip.Addr{six, netip.AddrFrom16(four1.As16()), four2} // one of them written as IPv6
	s := new(sources)
	wantPick(t, s, list, to4, nil, four1)
	wantPick(t, s, list, to4, nil, four2)
	wantPick(t, s, list, to4, nil, four1)
	wantPick(t, s, list, to4, nil, four2)
	wantPick(t, s, list, to6, nil, six)
	other := netip.AddrPortFrom(to4.Addr(), 443)
	wantPick(t, s, list, other, nil, four1) // each destination by itself
	s.release(use{four2, to4})
	wantPick(t, s, list, to4, nil, four2)
	wantPick(t, s, list, to4, []netip.Addr{four1}, four2)
	wantPick(t, s, list, to4, []netip.Addr{four1, four2}, four1) // better than none
	wantPick(t, s, list, to4, []netip.Addr{four1, four2, four1}, four2)
	wantPick(t, s, list[:1], to4, nil, netip.Addr{}) // none of that family
}

func TestSourcesAreForgotten(t *testing.T) {
	s := new(sources)
	for range 3 {
		wantPick(t, s, []netip.Addr{four1}, to4, nil, four1)
	}
	for range 3 {
		(&occupancy{place: &place{use: use{four1, to4}, sources: s}}).Ended(linger.PeerFirst, false)
	}
	s.release(use{})
	if len(s.used) != 0 {
		t.Errorf("left: %v", s.used)
	}
}

// TestTimeWaitIsAUse: for as long as the kernel keeps it.
func TestTimeWaitIsAUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, list := new(sources), []netip.Addr{four1, four2}
		wantPick(t, s, list, to4, nil, four1)
		o := &occupancy{place: &place{use: use{four1, to4}, sources: s}}
		o.Closing()
		o.Ended(linger.LocalFirst, false)
		o.TimeWait()
		wantPick(t, s, list, to4, nil, four2)
		s.release(use{four2, to4})
		wantPick(t, s, list, to4, nil, four2)
		s.release(use{four2, to4})
		time.Sleep(timeWaitFor)
		wantPick(t, s, list, to4, nil, four1)
		if len(s.waits) != 0 {
			t.Errorf("left: %v", s.waits)
		}
	})
}

func TestSourcePutAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, list := new(sources), []netip.Addr{four1, four2}
		log, lines := logTo()
		s.putAside(four1, log)
		s.putAside(four1, log) // by a dial at the same time
		for range 3 {
			wantPick(t, s, list, to4, nil, four2)
		}
		wantPick(t, s, list, to4, []netip.Addr{four2}, four1)
		time.Sleep(asideFor)
		wantPick(t, s, list, to4, nil, four1)
		s.putAside(four1, log) // it still is not there
		if n := strings.Count(lines.String(), "10.0.0.1"); n != 1 {
			t.Errorf("%d lines in the log, want 1:\n%s", n, lines)
		}
	})
}

func TestSourcesThatCannotBe(t *testing.T) {
	any4, local := netip.IPv4Unspecified(), netip.MustParseAddr("127.0.0.1")
	for _, tt := range []struct {
		name  string
		d     *Dialer
		names string
	}{
		{"unspecified", &Dialer{Sources: []netip.Addr{any4}}, "0.0.0.0"},
		{"none", &Dialer{Sources: []netip.Addr{{}}}, "invalid IP"},
		{"multicast", &Dialer{Sources: []netip.Addr{netip.MustParseAddr("224.0.0.1")}}, "224.0.0.1"},
		{"twice", &Dialer{Sources: []netip.Addr{local, local}}, "twice"},
		{"with LocalAddr", &Dialer{Sources: []netip.Addr{local}, Net: net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}}, "LocalAddr"},
		{"not of this host", &Dialer{Sources: []netip.Addr{local, netip.MustParseAddr("192.0.2.77")}}, "192.0.2.77"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.d.DialContext(t.Context(), "tcp", "127.0.0.1:9")
			var fe *FieldError
			if !errors.As(err, &fe) || fe.Field != "Sources" || !strings.Contains(err.Error(), tt.names) {
				t.Errorf("got %v, want a FieldError with %q", err, tt.names)
			}
		})
	}
}
