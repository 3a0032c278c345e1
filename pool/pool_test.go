package pool

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// get sends a GET and reads the response to its end.
func get(t testing.TB, rt http.RoundTripper, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// shutdownQuietly shuts tr down.
func shutdownQuietly(t testing.TB, tr *Transport) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := tr.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// shutdown shuts tr down and checks that its accounts balance.
func shutdown(t testing.TB, tr *Transport) {
	t.Helper()
	shutdownQuietly(t, tr)
	s := tr.Stats()
	if err := s.Balance(); err != nil {
		t.Error(err)
	}
	if n := s.Resting + s.Busy + s.Leaving + s.Dialing; n != 0 {
		t.Errorf("%d connections are left after Shutdown: %v", n, s)
	}
	if s.Active != 0 || s.Waiting != 0 {
		t.Errorf("%d requests are left after Shutdown, %d wait", s.Active, s.Waiting)
	}
}

// newServer starts a server that speaks as its name says: "http", "https",
// "h2" or "h2c". It returns the server and a Base for it.
func newServer(t testing.TB, proto string, h http.Handler) (*httptest.Server, *http.Transport) {
	t.Helper()
	return newTunedServer(t, proto, h, func(*http.Server) {})
}

// newTunedServer is newServer with settings of the server's own.
func newTunedServer(t testing.TB, proto string, h http.Handler, tune func(*http.Server)) (*httptest.Server, *http.Transport) {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = quiet
	tune(srv.Config)
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.MaxIdleConns = 0
	p := speaking(proto)
	srv.Config.Protocols = p
	base.Protocols = p
	if proto == "https" || proto == "h2" {
		srv.EnableHTTP2 = proto == "h2"
		srv.StartTLS()
		base.TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		base.TLSClientConfig.NextProtos = nil
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return srv, base
}

var protos = []string{"http", "https", "h2", "h2c"}

func TestRoundTrip(t *testing.T) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			srv, base := newServer(t, proto, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "%s %s", r.Proto, r.URL.Path)
			}))
			tr := &Transport{Base: base}
			defer shutdown(t, tr)
			want := "HTTP/1.1 /x"
			if proto == "h2" || proto == "h2c" {
				want = "HTTP/2.0 /x"
			}
			for range 10 {
				if got := get(t, tr, srv.URL+"/x"); got != want {
					t.Fatalf("got %q, want %q", got, want)
				}
			}
			if s := tr.Stats(); s.Dials != 1 || s.Reused != 9 || s.Requests != 10 {
				t.Errorf("%d requests, %d dials, %d reused; want 10, 1, 9", s.Requests, s.Dials, s.Reused)
			}
			var wg sync.WaitGroup
			for range 200 {
				wg.Go(func() { get(t, tr, srv.URL+"/x") })
			}
			wg.Wait()
		})
	}
}

// insecure takes any certificate: what the tests look at is below TLS.
var insecure = &tls.Config{InsecureSkipVerify: true}

// quiet is for servers whose clients misbehave on purpose.
var quiet = log.New(io.Discard, "", 0)

// connectProxy starts a proxy that knows CONNECT only, and shows its requests to
// saw. It returns the proxy's address.
func connectProxy(t testing.TB, saw func(*http.Request)) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	pump := func(to, from net.Conn) {
		io.Copy(to, from)
		to.(*net.TCPConn).CloseWrite()
	}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				req, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				saw(req)
				up, err := net.Dial("tcp", req.Host)
				if err != nil {
					return
				}
				defer up.Close()
				io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
				wg.Go(func() { pump(up, c) })
				pump(c, up)
			})
		}
	})
	return l.Addr().String()
}

// speaking returns the protocols of a server or client that speaks as proto says.
func speaking(proto string) *http.Protocols {
	p := new(http.Protocols)
	switch proto {
	case "http", "https":
		p.SetHTTP1(true)
	case "h2":
		p.SetHTTP2(true)
	case "h2c":
		p.SetUnencryptedHTTP2(true)
	}
	return p
}
