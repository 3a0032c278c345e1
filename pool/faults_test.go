package pool

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestHungDial: a dial that never ends holds up the request that it began for,
// and nobody who comes later.
func TestHungDial(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		var dials atomic.Int32
		base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials.Add(1) == 1 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return l.DialContext(ctx, network, addr)
		}
		tr := &Transport{Base: base}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, pipeURL, nil)
		if _, err := tr.RoundTrip(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		began := time.Now()
		for range 3 {
			get(t, tr, pipeURL)
		}
		if took := time.Since(began); took > time.Millisecond {
			t.Errorf("the next requests took %v", took)
		}
		shutdown(t, tr)
	})
}

// TestDialErrorIsPrompt: also while further requests keep coming.
func TestDialErrorIsPrompt(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		errDial := errors.New("no route")
		base.DialContext = func(context.Context, string, string) (net.Conn, error) {
			time.Sleep(100 * time.Millisecond)
			return nil, errDial
		}
		tr := &Transport{Base: base}
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() {
				began := time.Now()
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, pipeURL, nil)
				_, err := tr.RoundTrip(req)
				if took := time.Since(began); !errors.Is(err, errDial) || took > 150*time.Millisecond {
					t.Errorf("%v after %v", err, took)
				}
			})
			time.Sleep(50 * time.Millisecond)
		}
		wg.Wait()
		shutdown(t, tr)
	})
}

// TestBodyClose: twice is once, and a Read under way hears of it.
func TestBodyClose(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "some")
		w.(http.Flusher).Flush()
		if r.URL.Path == "/more" {
			<-r.Context().Done()
		}
	})
	inBubble(t, h, func(t *testing.T, base *http.Transport, l *pipeListener) {
		tr := &Transport{Base: base}
		for range 10 {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, pipeURL, nil)
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			resp.Body.Close()
			synctest.Wait()
		}
		if n := l.dials.Load(); n != 1 {
			t.Errorf("%d connections for 10 requests, want 1", n)
		}

		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, pipeURL+"more", nil)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan error)
		go func() {
			_, err := io.Copy(io.Discard, resp.Body)
			read <- err
		}()
		synctest.Wait()
		resp.Body.Close()
		if err := <-read; err == nil {
			t.Error("a Read that Close interrupts has no error")
		}
		shutdown(t, tr)
	})
}

// TestUploadEndsWithItsCaller: a server that answers early and reads on gets no
// more than the caller wants to send.
func TestUploadEndsWithItsCaller(t *testing.T) {
	srv, base := newServer(t, "http", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		w.(http.Flusher).Flush()
		io.Copy(io.Discard, r.Body)
	}))
	tr := &Transport{Base: base}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	body := &endless{closed: make(chan struct{})}
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL, body)
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	cancel()
	select {
	case <-body.closed:
	case <-time.After(20 * time.Second):
		t.Error("the upload goes on")
	}
	shutdown(t, tr)
}

// An endless is a request body without end.
type endless struct {
	once   sync.Once
	closed chan struct{}
}

func (e *endless) Read(p []byte) (int, error) { return len(p), nil }
func (e *endless) Close() error               { e.once.Do(func() { close(e.closed) }); return nil }

// TestUnusableProtocol: a connection that net/http cannot use is not left open.
func TestUnusableProtocol(t *testing.T) {
	srv, base := newServer(t, "h2", hello)
	base.Protocols = new(http.Protocols)
	base.Protocols.SetHTTP1(true)
	base.TLSClientConfig.NextProtos = []string{"h2"} // which it then does not speak
	tr := &Transport{Base: base}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
	if _, err := tr.RoundTrip(req); err == nil {
		t.Error("no error")
	}
	shutdown(t, tr)
}

// TestWarmKeepsToTheLimit: Warm opens no more than MaxConnsPerHost.
func TestWarmKeepsToTheLimit(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		tr := &Transport{Base: base, MaxConnsPerHost: 2}
		if err := tr.Warm(t.Context(), pipeURL, 10); err != nil {
			t.Error(err)
		}
		wantResting(t, tr, 2)
		shutdown(t, tr)
	})
}

// TestHTTP2OneRequestEach: where a connection carries one request, as many are
// dialled as there are requests.
func TestHTTP2OneRequestEach(t *testing.T) {
	srv, base := newServer(t, "h2c", hello)
	var now, most atomic.Int32
	base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		<-time.After(20 * time.Millisecond)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	tr := &Transport{Base: base, MaxRequests: 1}
	get(t, tr, srv.URL) // so that it is known to speak HTTP/2
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() { get(t, tr, srv.URL) })
	}
	wg.Wait()
	if most.Load() < 4 {
		t.Errorf("at most %d dials at a time for 16 requests", most.Load())
	}
	shutdown(t, tr)
}

// TestHTTP2GoAwayAtRest: a connection that the server will not use any more does
// not keep others from being made.
func TestHTTP2GoAwayAtRest(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: hello, Protocols: p, ErrorLog: quiet}
	var first atomic.Pointer[goAwayConn]
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(&goAwayListener{l, &first}) })
	defer wg.Wait()
	defer srv.Close()

	tr := &Transport{Base: &http.Transport{Protocols: p}, MaxConnsPerHost: 1}
	get(t, tr, "http://"+l.Addr().String())
	first.Load().goAway()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.Addr().String(), nil)
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	shutdown(t, tr)
}

// A goAwayConn can say GOAWAY in the server's name.
type goAwayConn struct {
	net.Conn
	mu sync.Mutex
}

func (c *goAwayConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *goAwayConn) goAway() {
	c.Write([]byte{0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0})
}

type goAwayListener struct {
	net.Listener
	first *atomic.Pointer[goAwayConn]
}

func (l *goAwayListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	gc := &goAwayConn{Conn: c}
	l.first.CompareAndSwap(nil, gc)
	return gc, nil
}

// TestRegisteredProtocols: those of the user's own are Base's to serve, also for
// HTTP's own schemes.
func TestRegisteredProtocols(t *testing.T) {
	mine := roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 299, Body: http.NoBody, Request: r}, nil
	})
	for _, scheme := range []string{"mine", "http", "https"} {
		base := &http.Transport{}
		base.RegisterProtocol(scheme, mine)
		tr := &Transport{Base: base}
		req, _ := http.NewRequest(http.MethodGet, scheme+"://host/", nil)
		resp, err := tr.RoundTrip(req)
		if err != nil || resp.StatusCode != 299 {
			t.Errorf("%s: got %v, %v", scheme, resp, err)
		}
		shutdown(t, tr)
	}
	// net/http's own HTTP/2 is none of the user's.
	srv, base := newServer(t, "h2", hello)
	if resp, err := base.RoundTrip(mustRequest(t, srv.URL)); err == nil {
		resp.Body.Close()
	}
	tr := &Transport{Base: base}
	get(t, tr, srv.URL)
	if s := tr.Stats(); s.Requests != 1 {
		t.Errorf("a Base that was used serves the pool's requests itself: %v", s)
	}
	shutdown(t, tr)
	base.CloseIdleConnections()
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func mustRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// TestNilRequest: no panic.
func TestNilRequest(t *testing.T) {
	if _, err := new(Transport).RoundTrip(nil); !errors.Is(err, errNilRequest) {
		t.Errorf("got %v, want errNilRequest", err)
	}
}

// TestUnmanaged: connections that are not TCP's own work and are counted apart.
func TestUnmanaged(t *testing.T) {
	srv, base := newServer(t, "https", hello)
	config := base.TLSClientConfig
	base.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return (&tls.Dialer{Config: config}).DialContext(ctx, network, addr)
	}
	tr := &Transport{Base: base}
	if got := get(t, tr, srv.URL); got != "hello" {
		t.Errorf("got %q", got)
	}
	if s := tr.Stats(); s.Unmanaged != 1 || s.Resting != 1 {
		t.Errorf("unmanaged %d, resting %d; want 1 of each", s.Unmanaged, s.Resting)
	}
	shutdown(t, tr)
}

// TestFailedDialClosesOnce: a user's own connection on which the dial fails is
// closed, and not twice.
func TestFailedDialClosesOnce(t *testing.T) {
	srv, base := newServer(t, "https", hello)
	refused := errors.New("refused")
	base.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: connectProxy(t, func(*http.Request) {})})
	base.OnProxyConnectResponse = func(context.Context, *url.URL, *http.Request, *http.Response) error { return refused }
	var closes atomic.Int32
	base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &closeCounter{c, &closes}, err
	}
	tr := &Transport{Base: base}
	if _, err := tr.RoundTrip(mustRequest(t, srv.URL)); !errors.Is(err, refused) {
		t.Errorf("got %v, want %v", err, refused)
	}
	shutdown(t, tr)
	if n := closes.Load(); n != 1 {
		t.Errorf("closed %d times, want 1", n)
	}
}

type closeCounter struct {
	net.Conn
	n *atomic.Int32
}

func (c *closeCounter) Close() error { c.n.Add(1); return c.Conn.Close() }
