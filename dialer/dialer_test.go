package dialer

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

func TestDialTCP(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello")
	}))
	defer srv.Close()
	m := new(metrics.Meter)
	d := &Dialer{Meter: m, UserTimeout: 30 * time.Second}
	client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
	resp, err := client.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "hello" {
		t.Errorf("got %q, %v", b, err)
	}
	resp.Body.Close()
	if s := m.Snapshot(); s.Born != 1 || s.Busy != 1 || s.Dials != 1 {
		t.Errorf("born %d, busy %d, dials %d; want 1 of each", s.Born, s.Busy, s.Dials)
	}
	client.CloseIdleConnections()
	if err := d.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	s := m.Snapshot()
	if err := s.Balance(); err != nil || s.Busy+s.Leaving+s.Resting != 0 {
		t.Errorf("after Shutdown: %v, %v", err, s)
	}
}

func TestOtherNetworksPassThrough(t *testing.T) {
	// What cannot be used over TCP, as an address that this host does not have,
	// is nothing to them.
	d := &Dialer{Sources: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Skip("no unix sockets:", err)
	}
	defer l.Close()
	c, err := d.DialContext(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, ok := c.(*net.UnixConn); !ok {
		t.Errorf("a unix dial gave a %T", c)
	}
	u, err := d.DialContext(t.Context(), "udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if _, ok := u.(*net.UDPConn); !ok {
		t.Errorf("a UDP dial gave a %T", u)
	}
}

func TestDialErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	m := new(metrics.Meter)
	d := &Dialer{Meter: m}
	if _, err := d.DialContext(t.Context(), "tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want ECONNREFUSED", err)
	}
	if s := m.Snapshot(); s.DialErrors != 1 || s.Born != 0 {
		t.Errorf("dial errors %d, born %d; want 1, 0", s.DialErrors, s.Born)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.DialContext(ctx, "tcp", addr); err == nil {
		t.Error("a dial under an ended context succeeded")
	}
	var pe *linger.PolicyError
	bad := &Dialer{Linger: &linger.Closer{Policy: linger.Policy{Fallback: 99}}}
	if _, err := bad.DialContext(t.Context(), "tcp", addr); !errors.As(err, &pe) {
		t.Errorf("an invalid policy gave %v, want a *linger.PolicyError", err)
	}
	var fe *FieldError
	bad = &Dialer{UserTimeout: -1}
	if _, err := bad.DialContext(t.Context(), "tcp", addr); !errors.As(err, &fe) || fe.Field != "UserTimeout" {
		t.Errorf("a negative UserTimeout gave %v, want a *FieldError", err)
	}
}

func TestControlIsCalled(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	called := 0
	d := &Dialer{UserTimeout: time.Minute, Net: net.Dialer{
		LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)},
		Control:   func(string, string, syscall.RawConn) error { called++; return nil },
	}}
	c, err := d.DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if called != 1 {
		t.Errorf("the user's Control was called %d times, want 1", called)
	}
}
