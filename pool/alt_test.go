package pool

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
)

// A plainProto is a protocol of the user's own: HTTP/1.1 by hand.
type plainProto struct {
	mu   sync.Mutex
	conn *tls.Conn
	br   *bufio.Reader
}

func (p *plainProto) RoundTrip(req *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := req.Write(p.conn); err != nil {
		p.conn.Close()
		return nil, err
	}
	resp, err := http.ReadResponse(p.br, req)
	if err != nil {
		p.conn.Close()
		return nil, err
	}
	content, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(content))
	return resp, err
}

// newProtoServer starts a server that negotiates "plain" and speaks HTTP/1.1. It
// returns a Base with upgrade for "plain", and how many connections are open.
func newProtoServer(t *testing.T, h http.Handler, upgrade nextProto) (*httptest.Server, *http.Transport, *atomic.Int32) {
	t.Helper()
	var open atomic.Int32
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = quiet
	srv.TLS = &tls.Config{NextProtos: []string{"plain"}}
	srv.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		"plain": func(_ *http.Server, c *tls.Conn, h http.Handler) {
			open.Add(1)
			defer open.Add(-1)
			for br := bufio.NewReader(c); ; {
				req, err := http.ReadRequest(br)
				if err != nil {
					return
				}
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, req)
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", rec.Body.Len(), rec.Body)
			}
		},
	}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	base := srv.Client().Transport.(*http.Transport).Clone()
	base.ForceAttemptHTTP2 = false
	base.Protocols = nil
	base.TLSClientConfig.NextProtos = []string{"plain"}
	base.TLSNextProto = map[string]nextProto{"plain": upgrade}
	return srv, base, &open
}

func newPlainProto(_ string, c *tls.Conn) http.RoundTripper {
	return &plainProto{conn: c, br: bufio.NewReader(c)}
}

// A protocol of TLSNextProto is served on connections that are shared, known to
// be in use while a response is read, and closed.
func TestTLSNextProto(t *testing.T) {
	srv, base, open := newProtoServer(t, hello, newPlainProto)
	tr := &Transport{Base: base}
	if got := get(t, tr, srv.URL); got != "hello" {
		t.Errorf("got %q", got)
	}
	first, _ := http.NewRequest(http.MethodGet, srv.URL, nil)
	resp, err := tr.RoundTrip(first)
	if err != nil {
		t.Fatal(err)
	}
	if s := tr.Stats(); s.Resting != 0 || s.Busy != 1 {
		t.Errorf("while a response is read: %v", s)
	}
	get(t, tr, srv.URL) // on the same connection
	resp.Body.Close()
	resp.Body.Close()
	if s := tr.Stats(); s.Dials != 1 || s.Resting != 1 || s.Busy != 0 {
		t.Errorf("after three requests: %v", s)
	}
	tr.CloseIdleConnections()
	netlab.Eventually(t, time.Second, "the server's connection is closed", func() bool { return open.Load() == 0 })
	shutdown(t, tr)
}

// Without keep-alives there is one connection for each request, and none to spare.
func TestTLSNextProtoWithoutKeepAlives(t *testing.T) {
	srv, base, _ := newProtoServer(t, hello, newPlainProto)
	base.DisableKeepAlives = true
	tr := &Transport{Base: base}
	for range 5 {
		get(t, tr, srv.URL)
	}
	shutdown(t, tr)
	if s := tr.Stats(); s.Dials != 5 {
		t.Errorf("%d dials for 5 requests", s.Dials)
	}
}

// A connection that its protocol has closed is not lent again.
func TestTLSNextProtoGivesUp(t *testing.T) {
	var bad atomic.Bool
	srv, base, _ := newProtoServer(t, hello, func(_ string, c *tls.Conn) http.RoundTripper {
		p := newPlainProto("", c)
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			if bad.CompareAndSwap(true, false) {
				c.Close()
				return nil, io.ErrUnexpectedEOF
			}
			return p.RoundTrip(req)
		})
	})
	tr := &Transport{Base: base}
	get(t, tr, srv.URL)
	bad.Store(true)
	req, _ := http.NewRequest(http.MethodPost, srv.URL, nil)
	if _, err := tr.RoundTrip(req); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want what the protocol returned", err)
	}
	get(t, tr, srv.URL)
	if s := tr.Stats(); s.Dials != 2 {
		t.Errorf("%d dials, want 2", s.Dials)
	}
	shutdown(t, tr)
}

// A protocol may say that it takes no more requests on its connection: this one
// is sent on the next, with its body.
func TestTLSNextProtoRefuses(t *testing.T) {
	var refused atomic.Int32
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	srv, base, _ := newProtoServer(t, echo, func(_ string, c *tls.Conn) http.RoundTripper {
		p := newPlainProto("", c)
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			if refused.Add(1) == 1 {
				io.Copy(io.Discard, req.Body)
				return nil, errors.New("http2: no cached connection was available")
			}
			return p.RoundTrip(req)
		})
	})
	tr := &Transport{Base: base}
	resp, err := (&http.Client{Transport: tr}).Post(srv.URL, "", strings.NewReader("again"))
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); string(body) != "again" || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
	resp.Body.Close()
	shutdown(t, tr)
}

// A protocol that cannot use its connection says why.
func TestTLSNextProtoFails(t *testing.T) {
	errNo := errors.New("no")
	srv, base, open := newProtoServer(t, hello, func(_ string, c *tls.Conn) http.RoundTripper {
		c.Close()
		return failedProto{errNo}
	})
	tr := &Transport{Base: base}
	req, _ := http.NewRequest(http.MethodGet, srv.URL, nil)
	if _, err := tr.RoundTrip(req); !errors.Is(err, errNo) {
		t.Errorf("got %v, want %v", err, errNo)
	}
	netlab.Eventually(t, time.Second, "the server's connection is closed", func() bool { return open.Load() == 0 })
	shutdown(t, tr)
}

type failedProto struct{ err error }

func (p failedProto) RoundTrip(*http.Request) (*http.Response, error) { return nil, p.err }
func (p failedProto) RoundTripErr() error                             { return p.err }

// TestForeignHTTP2: a Logger is told, once, of an HTTP/2 that is not used, and
// not of net/http's own.
func TestForeignHTTP2(t *testing.T) {
	foreign := map[string]nextProto{"h2": func(string, *tls.Conn) http.RoundTripper { return nil }}
	used := &http.Transport{}
	used.CloseIdleConnections() // sets it up
	if used.TLSNextProto["h2"] == nil {
		t.Fatal("net/http has not set up its HTTP/2")
	}
	for _, tt := range []struct {
		name string
		base *http.Transport
		want int
	}{
		{"none", nil, 0},
		{"unused", new(http.Transport), 0},
		{"used", used, 0},
		{"clone", used.Clone(), 0},
		{"switched off", &http.Transport{TLSNextProto: map[string]nextProto{}}, 0},
		{"foreign", &http.Transport{TLSNextProto: foreign}, 1},
		{"foreign, HTTP/1.1 only", &http.Transport{TLSNextProto: foreign, Protocols: speaking("https")}, 0},
	} {
		var logged bytes.Buffer
		tr := &Transport{Base: tt.base, Logger: slog.New(slog.NewTextHandler(&logged, nil))}
		tr.CloseIdleConnections()
		shutdown(t, tr)
		if n := strings.Count(logged.String(), "level=WARN"); n != tt.want {
			t.Errorf("%s: %d warnings, want %d: %s", tt.name, n, tt.want, logged.String())
		}
	}
}
