package websockettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/pool"
)

// serve is a WebSocket server at any path, but for /plain. It ends a
// connection when it is told "close", and echoes all else.
func serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/plain" {
		io.WriteString(w, r.Proto)
		return
	}
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(1 << 20)
	for {
		kind, msg, err := c.Read(context.Background())
		if err != nil {
			return // the library has answered a Close frame
		}
		if string(msg) == "close" {
			c.Close(websocket.StatusGoingAway, "told to")
			return
		}
		if err := c.Write(context.Background(), kind, msg); err != nil {
			return
		}
	}
}

// A peer is a server and a client's settings for it.
type peer struct {
	url  string // ws: or wss:
	http string // http: or https:
	base *http.Transport
}

// start starts a server: "ws", "wss", or "wss+h2", which speaks HTTP/2 too.
func start(t *testing.T, kind, address string) peer {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(serve))
	if address != "" {
		l, err := net.Listen("tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		srv.Listener.Close()
		srv.Listener = l
	}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	base := &http.Transport{MaxIdleConnsPerHost: 1000}
	if kind == "ws" {
		srv.Start()
	} else {
		srv.EnableHTTP2 = kind == "wss+h2"
		srv.StartTLS()
		base.TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		base.ForceAttemptHTTP2 = srv.EnableHTTP2
	}
	t.Cleanup(srv.Close)
	return peer{"ws" + strings.TrimPrefix(srv.URL, "http"), srv.URL, base}
}

// eachClient runs f with net/http's transport and with ours, for each kind of
// server: whatever differs shows.
func eachClient(t *testing.T, f func(t *testing.T, p peer, rt http.RoundTripper)) {
	for _, kind := range []string{"ws", "wss", "wss+h2"} {
		t.Run(kind, func(t *testing.T) {
			p := start(t, kind, "")
			t.Run("net/http", func(t *testing.T) {
				stock := p.base.Clone()
				f(t, p, stock)
				stock.CloseIdleConnections()
			})
			t.Run("pool", func(t *testing.T) {
				tr := &pool.Transport{Base: p.base}
				f(t, p, tr)
				shutdown(t, tr)
			})
		})
	}
}

func shutdown(t *testing.T, tr *pool.Transport) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := tr.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if s := tr.Stats(); s.Balance() != nil || s.Busy+s.Resting+s.Leaving != 0 {
		t.Errorf("%v: %v", s.Balance(), s)
	}
}

func dial(t *testing.T, p peer, rt http.RoundTripper) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), p.url, &websocket.DialOptions{HTTPClient: &http.Client{Transport: rt}})
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(1 << 20)
	return c
}

func echo(t *testing.T, c *websocket.Conn, msg []byte) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageBinary, msg); err != nil {
		t.Fatal(err)
	}
	if _, got, err := c.Read(t.Context()); err != nil || !bytes.Equal(got, msg) {
		t.Fatalf("%d bytes came back of %d: %v", len(got), len(msg), err)
	}
}

// TestEcho: many messages of many sizes, on several connections at once.
func TestEcho(t *testing.T) {
	eachClient(t, func(t *testing.T, p peer, rt http.RoundTripper) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				c := dial(t, p, rt)
				for i := range 100 {
					echo(t, c, bytes.Repeat([]byte{byte(i)}, 8*i*i))
				}
				if err := c.Close(websocket.StatusNormalClosure, "done"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

func TestPing(t *testing.T) {
	eachClient(t, func(t *testing.T, p peer, rt http.RoundTripper) {
		c := dial(t, p, rt)
		ctx := c.CloseRead(t.Context()) // somebody has to read the pongs
		for range 100 {
			if err := c.Ping(ctx); err != nil {
				t.Fatal(err)
			}
		}
		c.Close(websocket.StatusNormalClosure, "")
	})
}

// TestServerCloses: the server begins the close handshake.
func TestServerCloses(t *testing.T) {
	eachClient(t, func(t *testing.T, p peer, rt http.RoundTripper) {
		c := dial(t, p, rt)
		if err := c.Write(t.Context(), websocket.MessageText, []byte("close")); err != nil {
			t.Fatal(err)
		}
		_, _, err := c.Read(t.Context())
		if ce, ok := errors.AsType[websocket.CloseError](err); !ok || ce.Code != websocket.StatusGoingAway || ce.Reason != "told to" {
			t.Errorf("got %v", err)
		}
		c.CloseNow()
	})
}

// TestCancel: a context that ends closes the connection, and lets go of whoever
// reads.
func TestCancel(t *testing.T) {
	eachClient(t, func(t *testing.T, p peer, rt http.RoundTripper) {
		c := dial(t, p, rt)
		echo(t, c, []byte("hello"))
		ctx, cancel := context.WithCancel(t.Context())
		read := make(chan error)
		go func() {
			_, _, err := c.Read(ctx)
			read <- err
		}()
		cancel()
		if err := <-read; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		c.CloseNow()
	})
}

// TestDialContext: the end of Dial's context is not that of the connection.
func TestDialContext(t *testing.T) {
	eachClient(t, func(t *testing.T, p peer, rt http.RoundTripper) {
		ctx, cancel := context.WithCancel(t.Context())
		c, _, err := websocket.Dial(ctx, p.url, &websocket.DialOptions{HTTPClient: &http.Client{Transport: rt}})
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		echo(t, c, []byte("hello"))
		c.Close(websocket.StatusNormalClosure, "")
	})
}

// TestRefused: a server that does not upgrade.
func TestRefused(t *testing.T) {
	eachClient(t, func(t *testing.T, p peer, rt http.RoundTripper) {
		p.url += "/plain"
		_, resp, err := websocket.Dial(t.Context(), p.url, &websocket.DialOptions{HTTPClient: &http.Client{Transport: rt}})
		if err == nil || resp.StatusCode != http.StatusOK {
			t.Errorf("got %v, %v", resp, err)
		}
	})
}

// TestBesideHTTP2: a WebSocket has an HTTP/1.1 connection of its own, and
// requests go on over HTTP/2.
func TestBesideHTTP2(t *testing.T) {
	eachClient(t, func(t *testing.T, p peer, rt http.RoundTripper) {
		want := "HTTP/1.1"
		if p.base.ForceAttemptHTTP2 {
			want = "HTTP/2.0"
		}
		plain := func() {
			t.Helper()
			resp, err := (&http.Client{Transport: rt}).Get(p.http + "/plain")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if b, _ := io.ReadAll(resp.Body); string(b) != want {
				t.Errorf("the request went over %s, want %s", b, want)
			}
		}
		plain()
		c := dial(t, p, rt)
		echo(t, c, []byte("hello"))
		plain()
		echo(t, c, []byte("hello"))
		c.Close(websocket.StatusNormalClosure, "")
		plain()
		if tr, ok := rt.(*pool.Transport); ok {
			// Over TLS the upgrade's connection offers no HTTP/2 and is kept apart.
			if s := tr.Stats(); s.Born != 2 {
				t.Errorf("%d connections, want 2", s.Born)
			}
		}
	})
}

// TestManyAtOnce: 200 WebSockets, and nothing is left of them.
func TestManyAtOnce(t *testing.T) {
	p := start(t, "ws", "")
	check := netlab.Leaks(t)
	tr := &pool.Transport{Base: p.base}
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			c := dial(t, p, tr)
			echo(t, c, fmt.Append(nil, i))
			c.Close(websocket.StatusNormalClosure, "")
		})
	}
	wg.Wait()
	shutdown(t, tr)
	check()
}
