package pool

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
)

// serveRaw starts a server that gives each connection to serve. The test waits
// for all of them.
func serveRaw(t *testing.T, serve func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(10 * time.Second))
				serve(c)
			})
		}
	})
	return l.Addr().String()
}

// emptySettings is an HTTP/2 SETTINGS frame.
var emptySettings = []byte{0, 0, 0, 4, 0, 0, 0, 0, 0}

// TestHTTP2SilentServer: a server that answers neither requests nor PINGs keeps
// no connection busy that nobody waits for: it rests, and is no obstacle to Shutdown.
func TestHTTP2SilentServer(t *testing.T) {
	addr := serveRaw(t, func(c net.Conn) {
		c.Write(emptySettings)
		io.Copy(io.Discard, c)
	})
	tr := &Transport{Base: &http.Transport{Protocols: speaking("h2c")}}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr, nil)
	if _, err := tr.RoundTrip(req); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
	netlab.Eventually(t, 10*time.Second, "the connection rests", func() bool { return tr.Stats().Resting == 1 })
	shutdown(t, tr)
}

// TestShutdownAwaitsBrokenConns: net/http says that a connection is broken
// before it closes it. Shutdown waits for the ending all the same.
func TestShutdownAwaitsBrokenConns(t *testing.T) {
	some := httptest.NewUnstartedServer(nil)
	some.EnableHTTP2 = true
	some.StartTLS()
	config := some.TLS.Clone()
	some.Close()
	addr := serveRaw(t, func(c net.Conn) {
		c = tls.Server(c, config)
		bufio.NewReader(c).Discard(60)                     // the preface, and a part of what follows
		c.Write(append(emptySettings, make([]byte, 9)...)) // DATA on no stream
		io.Copy(io.Discard, c)
	})
	for range 300 {
		tr := &Transport{Base: &http.Transport{Protocols: speaking("h2"), TLSClientConfig: insecure}}
		if _, err := tr.RoundTrip(mustRequest(t, "https://"+addr)); err == nil {
			t.Error("no error")
		}
		shutdown(t, tr)
	}
}

// TestDeadAtBirth: a connection that its server closes before it has joined the
// pool leaves once.
func TestDeadAtBirth(t *testing.T) {
	addr := serveRaw(t, func(net.Conn) {})
	var left atomic.Int32
	tr := &Transport{}
	tr.Events = func(e Event) {
		switch e.Kind {
		case Born:
			<-time.After(50 * time.Millisecond) // it dies meanwhile
		case Leaving:
			left.Add(1)
		}
	}
	if err := tr.Warm(t.Context(), "http://"+addr, 1); err != nil {
		t.Error(err)
	}
	shutdown(t, tr)
	if n := left.Load(); n != 1 {
		t.Errorf("it left %d times", n)
	}
}

// TestHTTP2CancelledUnclosed: a caller whose context has ended, and who does not
// close the body either, keeps no connection busy.
func TestHTTP2CancelledUnclosed(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	srv, base := newServer(t, "h2c", h)
	tr := &Transport{Base: base}
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	netlab.Eventually(t, 10*time.Second, "the connection rests", func() bool { return tr.Stats().Resting == 1 })
	resp.Body.Close()
	second, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
	again, err := tr.RoundTrip(second)
	if err != nil {
		t.Fatal(err)
	}
	if s := tr.Stats(); s.Busy != 1 || s.Resting != 0 {
		t.Errorf("%d busy, %d resting; want the one connection busy", s.Busy, s.Resting)
	}
	again.Body.Close()
	netlab.Eventually(t, 10*time.Second, "the connection rests again", func() bool { return tr.Stats().Resting == 1 })
	shutdown(t, tr)
}
