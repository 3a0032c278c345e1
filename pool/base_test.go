package pool

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })

// TestBaseIsNotChanged: neither what a Base holds nor what it points to.
func TestBaseIsNotChanged(t *testing.T) {
	srv, base := newServer(t, "h2", hello)
	base.ProxyConnectHeader = http.Header{"X": {"y"}}
	base.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 7}
	base.MaxConnsPerHost, base.MaxIdleConns = 5, 6
	pointers := []any{base.TLSClientConfig, base.HTTP2, base.Protocols}
	before := reflect.ValueOf(shallow(base)).Elem()
	tr := &Transport{Base: base, Ping: PingConfig{Interval: time.Minute}}
	get(t, tr, srv.URL)
	shutdown(t, tr)
	after := reflect.ValueOf(shallow(base)).Elem()
	for i := range before.NumField() {
		f := before.Type().Field(i)
		if !f.IsExported() || f.Type.Kind() == reflect.Func {
			continue
		}
		a, b := before.Field(i).Interface(), after.Field(i).Interface()
		if !reflect.DeepEqual(a, b) {
			t.Errorf("Base.%s changed from %v to %v", f.Name, a, b)
		}
	}
	if got := []any{base.TLSClientConfig, base.HTTP2, base.Protocols}; !slices.Equal(got, pointers) {
		t.Error("Base points to other settings than before")
	}
	if len(base.TLSClientConfig.NextProtos) != 0 || base.HTTP2.SendPingTimeout != 0 {
		t.Error("what Base points to was changed")
	}
}

// shallow copies the exported fields, and so what a caller can see.
func shallow(base *http.Transport) *http.Transport {
	c := new(http.Transport)
	from, to := reflect.ValueOf(base).Elem(), reflect.ValueOf(c).Elem()
	for i := range from.NumField() {
		if from.Type().Field(i).IsExported() {
			to.Field(i).Set(from.Field(i))
		}
	}
	return c
}

// TestBaseSettings: what http.Transport honours, so does the pool with it as Base.
func TestBaseSettings(t *testing.T) {
	for _, tt := range []struct {
		name  string
		proto string
		serve http.HandlerFunc
		tune  func(*http.Transport)
		check func(t *testing.T, resp *http.Response, err error)
	}{{
		name: "DisableCompression", proto: "http",
		serve: func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("Accept-Encoding")) },
		tune:  func(b *http.Transport) { b.DisableCompression = true },
		check: wantBody(""),
	}, {
		name: "compression", proto: "http",
		serve: func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("Accept-Encoding")) },
		check: wantBody("gzip"),
	}, {
		name: "DisableKeepAlives", proto: "http",
		serve: func(w http.ResponseWriter, r *http.Request) {
			if r.Close {
				io.WriteString(w, "closing")
			}
		},
		tune:  func(b *http.Transport) { b.DisableKeepAlives = true },
		check: wantBody("closing"),
	}, {
		name: "MaxResponseHeaderBytes", proto: "http",
		serve: func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X", strings.Repeat("x", 9000)) },
		tune:  func(b *http.Transport) { b.MaxResponseHeaderBytes = 4000 },
		check: wantError("response headers exceeded 4000 bytes"),
	}, {
		name: "ResponseHeaderTimeout", proto: "http",
		serve: func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		tune:  func(b *http.Transport) { b.ResponseHeaderTimeout = 50 * time.Millisecond },
		check: wantError("timeout awaiting response headers"),
	}, {
		name: "ResponseHeaderTimeout over HTTP/2", proto: "h2",
		serve: func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		tune:  func(b *http.Transport) { b.ResponseHeaderTimeout = 50 * time.Millisecond },
		check: wantError("timeout awaiting response headers"),
	}, {
		name: "TLSClientConfig", proto: "https",
		serve: hello,
		tune:  func(b *http.Transport) { b.TLSClientConfig = &tls.Config{} }, // without the test's root
		check: wantError("certificate"),
	}, {
		name: "DialContext", proto: "http", serve: hello,
		tune: func(b *http.Transport) {
			b.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("my dialer") }
		},
		check: wantError("my dialer"),
	}, {
		name: "DialTLSContext", proto: "https", serve: hello,
		tune: func(b *http.Transport) {
			b.DialTLSContext = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("my TLS dialer") }
		},
		check: wantError("my TLS dialer"),
	}, {
		name: "Proxy fails", proto: "http", serve: hello,
		tune: func(b *http.Transport) {
			b.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("my proxy") }
		},
		check: wantError("my proxy"),
	}, {
		name: "ForceAttemptHTTP2", proto: "h2",
		serve: func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) },
		tune: func(b *http.Transport) {
			b.Protocols = nil
			b.ForceAttemptHTTP2 = true
			b.DialContext = new(net.Dialer).DialContext
		},
		check: wantBody("HTTP/2.0"),
	}, {
		name: "no HTTP/2 with a dialer of one's own", proto: "https",
		serve: func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) },
		tune: func(b *http.Transport) {
			b.Protocols = nil
			b.ForceAttemptHTTP2 = false
			b.DialContext = new(net.Dialer).DialContext
		},
		check: wantBody("HTTP/1.1"),
	}} {
		t.Run(tt.name, func(t *testing.T) {
			srv, base := newServer(t, tt.proto, tt.serve)
			if tt.tune != nil {
				tt.tune(base)
			}
			tr := &Transport{Base: base}
			defer shutdown(t, tr)
			resp, err := (&http.Client{Transport: tr}).Get(srv.URL)
			if err == nil {
				defer resp.Body.Close()
			}
			tt.check(t, resp, err)
		})
	}
}

func wantBody(want string) func(*testing.T, *http.Response, error) {
	return func(t *testing.T, resp *http.Response, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(resp.Body); err != nil || string(b) != want {
			t.Errorf("got %q, %v; want %q", b, err, want)
		}
	}
}

func wantError(want string) func(*testing.T, *http.Response, error) {
	return func(t *testing.T, _ *http.Response, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
}

// TestProxy: CONNECT with its headers and its hook, and requests by absolute URL.
func TestProxy(t *testing.T) {
	srv, base := newServer(t, "https", hello)
	var connects atomic.Int32
	var header atomic.Value
	proxy := connectProxy(t, func(req *http.Request) {
		connects.Add(1)
		header.Store(req.Header.Get("X-Mine") + " " + req.Header.Get("Proxy-Authorization"))
	})
	base.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: proxy, User: url.UserPassword("me", "secret")})
	base.ProxyConnectHeader = http.Header{"X-Mine": {"mine"}}
	var hooked atomic.Int32
	base.OnProxyConnectResponse = func(context.Context, *url.URL, *http.Request, *http.Response) error {
		hooked.Add(1)
		return nil
	}
	tr := &Transport{Base: base}
	for range 3 {
		if got := get(t, tr, srv.URL); got != "hello" {
			t.Errorf("got %q", got)
		}
	}
	if connects.Load() != 1 || hooked.Load() != 1 {
		t.Errorf("%d CONNECTs, hook called %d times; want 1 of each", connects.Load(), hooked.Load())
	}
	if h, _ := header.Load().(string); !strings.HasPrefix(h, "mine Basic ") {
		t.Errorf("the proxy got %q", h)
	}
	shutdown(t, tr)
}

// TestKey: each thing that must not be shared makes another connection.
func TestKey(t *testing.T) {
	c := &config{proxy: func(r *http.Request) (*url.URL, error) {
		if p := r.Header.Get("Via-Proxy"); p != "" {
			return url.Parse(p)
		}
		return nil, nil
	}}
	request := func(u string, header ...string) *http.Request {
		r, err := http.NewRequest(http.MethodGet, u, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return r
	}
	seen := map[Key]string{}
	for _, r := range []*http.Request{
		request("http://a/"), request("https://a/"), request("http://a:81/"), request("http://b/"),
		request("http://a/", "Via-Proxy", "http://p:1/"), request("http://a/", "Via-Proxy", "http://u:p@p:1/"),
		request("https://a/", "Via-Proxy", "http://p:1/"), request("https://b/", "Via-Proxy", "http://p:1/"),
		request("http://a/", "Via-Proxy", "socks5://p:1/"),
		request("https://a/", "Connection", "Upgrade", "Upgrade", "websocket"),
	} {
		k, _, err := c.keyOf(r)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[k]; ok {
			t.Errorf("%v and %v share %v", r.URL, other, k)
		}
		seen[k] = r.URL.String()
	}
	for _, same := range [][2]*http.Request{
		{request("http://a/"), request("http://a:80/x")},
		{request("https://a/"), request("https://a:443/x?y")},
		{request("http://a/", "Via-Proxy", "http://p:1/"), request("http://b/", "Via-Proxy", "http://p:1/")},
		{request("http://bücher.example/"), request("http://xn--bcher-kva.example/")},
	} {
		a, _, _ := c.keyOf(same[0])
		b, _, _ := c.keyOf(same[1])
		if a != b {
			t.Errorf("%v and %v do not share: %v, %v", same[0].URL, same[1].URL, a, b)
		}
	}
	if s := (Key{Scheme: "http", Address: "a:80", Proxy: "http://u:secret@p"}).String(); strings.Contains(s, "secret") {
		t.Errorf("the key shows a password: %s", s)
	}
}

// TestTrace: GetConn and GotConn, which ClientConn leaves to the pool, and the rest.
func TestTrace(t *testing.T) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			srv, base := newServer(t, proto, hello)
			tr := &Transport{Base: base}
			defer shutdown(t, tr)
			for i := range 2 {
				var mu sync.Mutex
				var got []string
				note := func(s string) { mu.Lock(); got = append(got, s); mu.Unlock() }
				var info httptrace.GotConnInfo
				ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
					GetConn:              func(string) { note("GetConn") },
					GotConn:              func(i httptrace.GotConnInfo) { info = i; note("GotConn") },
					ConnectDone:          func(string, string, error) { note("ConnectDone") },
					TLSHandshakeDone:     func(tls.ConnectionState, error) { note("TLSHandshakeDone") },
					WroteRequest:         func(httptrace.WroteRequestInfo) { note("WroteRequest") },
					GotFirstResponseByte: func() { note("GotFirstResponseByte") },
				})
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
				resp, err := tr.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				if resp.Request != req {
					t.Error("Response.Request is not the caller's")
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				want := []string{"GetConn", "GotConn", "WroteRequest", "GotFirstResponseByte"}
				if i == 0 {
					want = append(want, "ConnectDone")
					if proto == "https" || proto == "h2" {
						want = append(want, "TLSHandshakeDone")
					}
				}
				mu.Lock()
				for _, w := range want {
					if n := len(slices.DeleteFunc(slices.Clone(got), func(s string) bool { return s != w })); n != 1 {
						t.Errorf("request %d: %s was called %d times", i, w, n)
					}
				}
				mu.Unlock()
				// An HTTP/2 stream may end a moment after its response.
				wasIdle := i == 1 && (info.WasIdle || proto == "h2" || proto == "h2c")
				if info.Reused != (i == 1) || wasIdle != (i == 1) || info.Conn == nil {
					t.Errorf("request %d: %+v", i, info)
				}
			}
		})
	}
}

// TestBadInput: what http.Transport refuses is refused in its words, and what is
// ours to refuse by a type.
func TestBadInput(t *testing.T) {
	u := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name string
		req  *http.Request
	}{
		{"no URL", &http.Request{Header: http.Header{}}},
		{"no header", &http.Request{URL: u}},
		{"no host", &http.Request{URL: &url.URL{Scheme: "http"}, Header: http.Header{}}},
		{"unknown scheme", &http.Request{URL: &url.URL{Scheme: "gopher", Host: "x"}, Header: http.Header{}}},
		{"bad method", &http.Request{Method: "BAD METHOD", URL: u, Header: http.Header{}}},
		{"bad field name", &http.Request{URL: u, Header: http.Header{"bad name": {"x"}}}},
		{"bad field value", &http.Request{URL: u, Header: http.Header{"X": {"a\nb"}}}},
		{"bad trailer", &http.Request{URL: u, Header: http.Header{}, Trailer: http.Header{"X": {"a\nb"}}}},
		{"ended context", (&http.Request{URL: u, Header: http.Header{}}).WithContext(ended)},
		{"nobody listens", &http.Request{URL: u, Header: http.Header{}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stock := new(http.Transport)
			body := &closeNoting{Reader: strings.NewReader("x")}
			_, want := stock.RoundTrip(withBody(tt.req, &closeNoting{Reader: strings.NewReader("x")}))
			tr := &Transport{Base: new(http.Transport)}
			_, got := tr.RoundTrip(withBody(tt.req, body))
			if got == nil || got.Error() != want.Error() {
				t.Errorf("got error %v, want %v", got, want)
			}
			if !body.closed.Load() {
				t.Error("the request's body was not closed")
			}
			shutdown(t, tr)
		})
	}

	var ce *ConfigError
	for _, tr := range []*Transport{
		{MaxConnsPerHost: -1}, {MinConnsPerHost: -1}, {MaxWaiters: -1}, {MaxDialsPerHost: -1}, {MaxAge: -1}, {MaxRequests: -1}, {LongBody: -1},
		{Order: 9}, {Ping: PingConfig{Interval: -1}}, {Ping: PingConfig{Timeout: -1}}, {Ping: PingConfig{Path: "x"}},
	} {
		if _, err := tr.RoundTrip(&http.Request{URL: u, Header: http.Header{}}); !errors.As(err, &ce) {
			t.Errorf("got error %v, want a *ConfigError", err)
		}
		tr.CloseIdleConnections()
		if err := tr.Shutdown(t.Context()); !errors.As(err, &ce) {
			t.Errorf("Shutdown: got error %v, want a *ConfigError", err)
		}
	}
	var pe *linger.PolicyError
	tr := &Transport{Dialer: &dialer.Dialer{Linger: &linger.Closer{Policy: linger.Policy{Fallback: 9}}}}
	if _, err := tr.RoundTrip(&http.Request{URL: u, Header: http.Header{}}); !errors.As(err, &pe) {
		t.Errorf("got error %v, want a *linger.PolicyError", err)
	}
	var ge *metrics.GhostError
	tr = &Transport{Meter: &metrics.Meter{Ghosts: make([]metrics.Ghost, 1)}}
	if _, err := tr.RoundTrip(&http.Request{URL: u, Header: http.Header{}}); !errors.As(err, &ge) {
		t.Errorf("got error %v, want a *metrics.GhostError", err)
	}

	closed := new(Transport)
	shutdown(t, closed)
	shutdown(t, closed)
	_, err := closed.RoundTrip(&http.Request{URL: u, Header: http.Header{}})
	var e *Error
	if !errors.Is(err, ErrClosed) || !errors.As(err, &e) || e.Key.Address != "127.0.0.1:1" {
		t.Errorf("a closed Transport says %v", err)
	}
	if err := closed.Warm(t.Context(), u.String(), 1); !errors.Is(err, ErrClosed) {
		t.Errorf("Warm on a closed Transport says %v", err)
	}
}

type closeNoting struct {
	io.Reader
	closed atomic.Bool
}

func (c *closeNoting) Close() error { c.closed.Store(true); return nil }

func withBody(r *http.Request, b io.ReadCloser) *http.Request {
	r = r.WithContext(r.Context())
	r.Body = b
	return r
}

// TestJustConnected: Shutdown does not cut off a dial of Base's own dialer that
// has just connected, and would close the connection plainly.
func TestJustConnected(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		connected, look := make(chan struct{}), make(chan struct{})
		var cut error
		base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := l.DialContext(ctx, network, addr)
			close(connected)
			<-look
			cut = ctx.Err()
			return c, err
		}
		tr := &Transport{Base: base}
		var wg sync.WaitGroup
		wg.Go(func() { tr.Warm(t.Context(), pipeURL, 1) })
		<-connected
		wg.Go(func() { shutdown(t, tr) })
		synctest.Wait()
		close(look)
		wg.Wait()
		if cut != nil {
			t.Errorf("the dial was cut off: %v", cut)
		}
	})
}
