package pool

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestReplay: a request on a connection that dies under it is sent again if that
// does no harm, and only then.
func TestReplay(t *testing.T) {
	for _, tt := range []struct {
		name   string
		method string
		body   func() io.Reader
		header string
		again  bool
	}{
		{name: "GET", method: http.MethodGet, again: true},
		{name: "HEAD", method: http.MethodHead, again: true},
		{name: "OPTIONS", method: http.MethodOptions, again: true},
		{name: "POST", method: http.MethodPost, body: func() io.Reader { return strings.NewReader("x") }},
		{name: "POST without a body", method: http.MethodPost},
		{name: "PUT", method: http.MethodPut, body: func() io.Reader { return strings.NewReader("x") }},
		{name: "POST with Idempotency-Key", method: http.MethodPost, header: "Idempotency-Key",
			body: func() io.Reader { return strings.NewReader("x") }, again: true},
		{name: "POST with Idempotency-Key, one-shot body", method: http.MethodPost, header: "Idempotency-Key",
			body: func() io.Reader { return io.MultiReader(strings.NewReader("x")) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got atomic.Int32 // requests after the first
			addr := dyingServer(t, &got)
			tr := &Transport{}
			defer shutdown(t, tr)
			get(t, tr, "http://"+addr) // so that the connection is a reused one
			var body io.Reader
			if tt.body != nil {
				body = tt.body()
			}
			req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+addr, body)
			if err != nil {
				t.Fatal(err)
			}
			if tt.header != "" {
				req.Header.Set(tt.header, "1")
			}
			resp, err := tr.RoundTrip(req)
			if err == nil {
				resp.Body.Close()
			}
			if (err == nil) != tt.again {
				t.Errorf("got error %v; sent again should be %t", err, tt.again)
			}
			want := int32(1)
			if tt.again {
				want = 2
			}
			if n := got.Load(); n != want {
				t.Errorf("the server got it %d times, want %d", n, want)
			}
			if s := tr.Stats(); s.Retries != uint64(want-1) {
				t.Errorf("%d retries counted, want %d", s.Retries, want-1)
			}
		})
	}
}

// dyingServer answers the first request of its first connection and closes that
// connection in the face of the second. Later connections it serves well.
func dyingServer(t *testing.T, got *atomic.Int32) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	serve := func(c net.Conn, dies bool) {
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		for r, n := bufio.NewReader(c), 0; ; n++ {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			io.Copy(io.Discard, req.Body)
			if n > 0 || !dies {
				got.Add(1)
			}
			if n > 0 && dies {
				return
			}
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}
	wg.Go(func() {
		for first := true; ; first = false {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serve(c, first) })
		}
	})
	return l.Addr().String()
}

// TestNewConnectionIsNotRetried: a server that hangs up on a new connection does
// not like the request.
func TestNewConnectionIsNotRetried(t *testing.T) {
	var conns atomic.Int32
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			http.ReadRequest(bufio.NewReader(c))
			c.Close()
		}
	})
	defer wg.Wait()
	defer l.Close()
	tr := &Transport{}
	defer shutdown(t, tr)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String(), nil)
	if _, err := tr.RoundTrip(req); err == nil {
		t.Error("no error")
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// TestStaleIsNotLent: data or a FIN that came while a connection rested.
func TestStaleIsNotLent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("nobody looks at the socket here")
	}
	for _, how := range []string{"closes", "talks"} {
		t.Run(how, func(t *testing.T) {
			conns := newConnSet()
			srv := httptest.NewUnstartedServer(hello)
			srv.Config.ErrorLog = quiet
			srv.Config.ConnState = func(c net.Conn, s http.ConnState) {
				if s == http.StateIdle {
					conns.add(c)
				}
			}
			srv.Start()
			defer srv.Close()
			tr := &Transport{}
			defer shutdown(t, tr)
			for range 50 {
				get(t, tr, srv.URL)
				conns.mu.Lock()
				for c := range conns.set {
					if how == "talks" {
						io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\n\r\n")
					}
					c.Close()
					delete(conns.set, c)
				}
				conns.mu.Unlock()
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, bytes.NewReader([]byte("x")))
				resp, err := tr.RoundTrip(req)
				if err != nil {
					t.Fatalf("a POST on a connection that was seen dead: %v", err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
}

// TestHTTP2ColdBurst: a server that allows few streams, and many requests
// before it has said so. Reservations beyond the limit would hang one another.
func TestHTTP2ColdBurst(t *testing.T) {
	for _, proto := range []string{"h2", "h2c"} {
		for _, streams := range []int{1, 2, 20} {
			t.Run(fmt.Sprintf("%s/streams=%d", proto, streams), func(t *testing.T) {
				srv, base := newTunedServer(t, proto, hello, func(s *http.Server) {
					s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
				})
				tr := &Transport{Base: base}
				defer shutdown(t, tr)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				var wg sync.WaitGroup
				for range 100 {
					wg.Go(func() {
						req, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
						resp, err := tr.RoundTrip(req)
						if err != nil {
							t.Error(err)
							return
						}
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					})
				}
				wg.Wait()
				t.Logf("%d connections", tr.Stats().Born)
			})
		}
	}
}

// TestUpgrade: after 101 the connection is the caller's, and Shutdown does not
// wait for it.
func TestUpgrade(t *testing.T) {
	for _, proto := range []string{"http", "https"} {
		t.Run(proto, func(t *testing.T) {
			srv, base := newServer(t, proto, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c, rw, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
				io.Copy(c, rw)
			}))
			tr := &Transport{Base: base}
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
			req.Header.Set("Connection", "Upgrade")
			req.Header.Set("Upgrade", "echo")
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			rwc, ok := resp.Body.(io.ReadWriteCloser)
			if !ok {
				t.Fatalf("the body is a %T", resp.Body)
			}
			shutdownQuietly(t, tr)
			io.WriteString(rwc, "hello")
			buf := make([]byte, 5)
			if _, err := io.ReadFull(rwc, buf); err != nil || string(buf) != "hello" {
				t.Errorf("got %q, %v", buf, err)
			}
			rwc.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := tr.own.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			if err := tr.Stats().Balance(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRestedIsNotNew: a connection that died at rest died of that, also if no
// request had used it yet.
func TestRestedIsNotNew(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		conns := newConnSet()
		base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := l.DialContext(ctx, network, addr)
			if err == nil {
				conns.add(c)
			}
			return c, err
		}
		tr := &Transport{Base: base}
		if err := tr.Warm(t.Context(), pipeURL, 1); err != nil {
			t.Error(err)
		}
		var once sync.Once
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
			once.Do(func() { conns.closeOne(); synctest.Wait() })
		}})
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, pipeURL, nil)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Error(err)
		} else {
			resp.Body.Close()
		}
		shutdown(t, tr)
	})
}

// TestUnusedAreOneOfAKind: a server that shuts down keeps the connections that no
// request has used, and hangs up on each when one comes. One such experience is
// enough.
func TestUnusedAreOneOfAKind(t *testing.T) {
	const warm = 20
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					if _, err := http.ReadRequest(r); err != nil || n <= warm {
						return
					}
					io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
				}
			})
		}
	})
	defer wg.Wait()
	defer l.Close()
	tr := &Transport{}
	defer shutdown(t, tr)
	url := "http://" + l.Addr().String()
	if err := tr.Warm(t.Context(), url, warm); err != nil {
		t.Fatal(err)
	}
	get(t, tr, url)
	if s := tr.Stats(); s.Retries != 1 || s.Reasons["stale"] != warm-1 {
		t.Errorf("%d retries, want 1; left for %v", s.Retries, s.Reasons)
	}
}
