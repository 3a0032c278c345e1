package dialer

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
)

// netTimeout is an error of the net package's kind that is a timeout.
type netTimeout struct{}

func (netTimeout) Error() string   { return "i/o timeout" }
func (netTimeout) Timeout() bool   { return true }
func (netTimeout) Temporary() bool { return true }

func TestErrorIsWhatItWas(t *testing.T) {
	inner := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	for cause := range numCauses {
		e := &Error{Cause: cause, Destination: netip.MustParseAddrPort("192.0.2.1:80"), Err: inner}
		var err error = e
		if op, ok := errors.AsType[*net.OpError](err); !ok || op != inner || !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%v: the original is lost", cause)
		}
		if !strings.HasPrefix(err.Error(), inner.Error()) {
			t.Errorf("%v: %v", cause, err)
		}
		exhausted := cause == PortsExhausted || cause == SourceExhausted
		if errors.Is(err, ErrPortsExhausted) != exhausted || errors.Is(err, syscall.EADDRNOTAVAIL) != exhausted {
			t.Errorf("%v: is %v exhaustion", cause, !exhausted)
		}
		if strings.Contains(cause.String(), "Cause(") {
			t.Errorf("%d has no name", cause)
		}
		if e.Timeout() || e.Temporary() != inner.Temporary() {
			t.Errorf("%v: timeout %v, temporary %v", cause, e.Timeout(), e.Temporary())
		}
	}
	if e := (&Error{Err: netTimeout{}}); !e.Timeout() || !e.Temporary() {
		t.Error("a timeout is none any more")
	}
	if got := numCauses.String(); got != "Cause(9)" {
		t.Errorf("got %s", got)
	}
}

// TestCauseElsewhere: other systems have other words.
func TestCauseElsewhere(t *testing.T) {
	local := netip.MustParseAddrPort("127.0.0.1:9")
	e := &Error{Destination: netip.MustParseAddrPort("127.0.0.1:80")}
	if got := e.causeOf("connect", syscall.EADDRINUSE); got != PortsExhausted {
		t.Errorf("a port that the system chose: %v", got)
	}
	e.Sources = []netip.AddrPort{local}
	if got := e.causeOf("connect", syscall.EADDRINUSE); got != ConnectionExists {
		t.Errorf("a port by number: %v", got)
	}
}

// TestHookRefuses: the error of a user's own hook needs no explanation, whatever
// it is.
func TestHookRefuses(t *testing.T) {
	refusal := os.NewSyscallError("bind", syscall.EADDRINUSE)
	d := &Dialer{Net: net.Dialer{Control: func(string, string, syscall.RawConn) error { return refusal }}}
	_, err := d.DialContext(t.Context(), "tcp", "127.0.0.1:80")
	if _, explained := errors.AsType[*Error](err); explained || !errors.Is(err, refusal) {
		t.Errorf("got %v", err)
	}
}

func TestAdvice(t *testing.T) {
	reuse := func(v int64) map[string]int64 {
		return map[string]int64{"net.ipv4.tcp_tw_reuse": v, "net.ipv4.tcp_timestamps": 1}
	}
	without := func(v int64) map[string]int64 {
		return map[string]int64{"net.ipv4.tcp_tw_reuse": v, "net.ipv4.tcp_timestamps": 0}
	}
	waits := map[string]int{"established": 40, "time_wait": 60}
	const far, near = "192.0.2.1:80", "127.0.0.1:80"
	for _, tt := range []struct {
		name     string
		states   map[string]int
		other    int
		to       string
		settings map[string]int64
		says     string
	}{
		{"not counted", nil, 0, far, reuse(0), "Dialer.Sources"},
		{"in use", map[string]int{"established": 60, "time_wait": 40}, 0, far, reuse(0), "in use"},
		{"TIME_WAIT", waits, 0, far, reuse(0), "or set net.ipv4.tcp_tw_reuse=1"},
		{"TIME_WAIT, lent on loopback only", waits, 0, far, reuse(2), "or set net.ipv4.tcp_tw_reuse=1"},
		{"TIME_WAIT, of which nothing is known", waits, 0, far, nil, "or set net.ipv4.tcp_tw_reuse=1"},
		{"TIME_WAIT, lent here", waits, 0, near, reuse(2), "or have the server use TCP timestamps"},
		{"TIME_WAIT, lent", waits, 0, far, reuse(1), "or have the server use TCP timestamps"},
		{"TIME_WAIT, no timestamps", waits, 0, far, without(1), "or switch TCP timestamps on at both ends"},
		{"TIME_WAIT, neither", waits, 0, far, without(0), "or set net.ipv4.tcp_tw_reuse=1 and, at both ends, net.ipv4.tcp_timestamps=1"},
		{"a leak", map[string]int{"close_wait": 60, "established": 40}, 0, far, reuse(0), "leak"},
		{"others", map[string]int{"established": 10}, 90, far, reuse(0), "IP_BIND_ADDRESS_NO_PORT"},
	} {
		e := &Error{Cause: PortsExhausted, States: tt.states, Other: tt.other, Destination: netip.MustParseAddrPort(tt.to), Settings: tt.settings}
		if e.advise(); !strings.Contains(e.Advice, tt.says) {
			t.Errorf("%s: %s", tt.name, e.Advice)
		}
	}
}
