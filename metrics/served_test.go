package metrics_test

import (
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// TestListener: what a server accepts is counted under its own address, and
// ends in the accounts.
func TestListener(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		closer linger.Closer
		meter  metrics.Meter
	)
	l := meter.Listener(closer.Listener(inner))
	if l.Addr() != inner.Addr() {
		t.Errorf("its address is %v, want %v", l.Addr(), inner.Addr())
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello")
	})}
	gone := make(chan error)
	go func() { gone <- srv.Serve(l) }()

	const clients = 5
	for range clients {
		tr := new(http.Transport)
		resp, err := tr.RoundTrip(newRequest(t, "http://"+inner.Addr().String()))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		defer tr.CloseIdleConnections()
	}
	s := meter.Snapshot()
	if s.Born != clients || s.Busy != clients || s.Unmanaged != 0 {
		t.Errorf("%d born, %d busy, %d unmanaged; want %d, %d, 0", s.Born, s.Busy, s.Unmanaged, clients, clients)
	}
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-gone
	if err := closer.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = meter.Snapshot()
	if err := s.Balance(); err != nil {
		t.Error(err)
	}
	var ended uint64
	for _, n := range s.Ended {
		ended += n
	}
	if ended != clients || s.Leaving != 0 || len(s.Hosts) != 1 || s.Hosts[0].Name != inner.Addr().String() {
		t.Errorf("ended: %v, %d leaving, %d hosts, the first %q", s.Ended, s.Leaving, len(s.Hosts), s.Hosts[0].Name)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("it accepts after it was closed")
	}
}

// A connection whose ending nobody sees is not counted as one that lives forever.
func TestListenerOfOthers(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	var meter metrics.Meter
	l := meter.Listener(inner)
	c, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if _, ok := accepted.(*net.TCPConn); !ok || meter.Snapshot().Born != 0 {
		t.Errorf("a %T was accepted, and %d are counted", accepted, meter.Snapshot().Born)
	}
}

func newRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}
