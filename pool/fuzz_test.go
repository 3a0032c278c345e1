package pool

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/linger"
)

// FuzzLikeNetHTTP: what net/http refuses to send is refused, and what it sends
// goes to the address that it would dial.
func FuzzLikeNetHTTP(f *testing.F) {
	f.Add("GET", "http://example.com/", "X", "y")
	f.Add("", "https://user@EXAMPLE.com:/", "X-Y", "\t")
	f.Add("GET", "http://[::1%25lo]:80/", "a", "")
	f.Add("G T", "http://bücher.example:8080/", "x y", "\x7f")
	f.Add("GET", "https://xn--nxa.example:https/", "", "\x00")
	f.Add("GET", "http://ＦＵＬＬ.example/", "ü", "ü")
	f.Add("GET", "http://:80/", "X", "y")
	f.Add("GET", "http://bücher.example:/", "X", "y")
	f.Add("GET", "https://\xff:/", "X", "y")
	f.Fuzz(func(t *testing.T, method, rawURL, name, value string) {
		u, err := url.Parse(rawURL)
		if err != nil {
			return
		}
		request := func() *http.Request {
			return &http.Request{Method: method, URL: u, Header: http.Header{name: {value}}}
		}
		asked := make(chan string, 1)
		stock := &http.Transport{DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
			asked <- addr
			return nil, errors.New("asked")
		}}
		_, stockErr := stock.RoundTrip(request())
		dialed := ""
		select {
		case dialed = <-asked:
		default:
		}
		key, err := Key{}, validate(request())
		if err == nil {
			key, _, err = new(config).keyOf(request())
		}
		if (err == nil) != (dialed != "") || key.Address != dialed {
			t.Errorf("net/http dials %q (%v), we %q (%v)", dialed, stockErr, key.Address, err)
		}
	})
}

// FuzzServer: whatever a server says before it closes, the request ends, and so
// does the pool, with its accounts balanced.
func FuzzServer(f *testing.F) {
	log.SetOutput(io.Discard) // what net/http thinks of it
	defer log.SetOutput(os.Stderr)
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), false)
	f.Add([]byte("HTTP/1.1 200 OK\r\nConnection: close\r\nKeep-Alive: timeout=1, max=1\r\n\r\nhello"), false)
	f.Add([]byte("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n"), false)
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP"), false)
	f.Add([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88"), true)
	f.Add([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00"), true)
	f.Add([]byte("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00"), true)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	var saying struct {
		sync.Mutex
		words []byte
	}
	var wg sync.WaitGroup
	f.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			saying.Lock()
			words := saying.words
			saying.Unlock()
			wg.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(5 * time.Second))
				c.Read(make([]byte, 1)) // the request is on its way
				c.Write(words)
				c.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, c)
			})
		}
	})
	f.Fuzz(func(t *testing.T, words []byte, h2 bool) {
		saying.Lock()
		saying.words = words
		saying.Unlock()
		proto := "http"
		if h2 {
			proto = "h2c"
		}
		policy := linger.Policy{Wait: 20 * time.Millisecond}
		tr := &Transport{
			Base:   &http.Transport{Protocols: speaking(proto)},
			Dialer: &dialer.Dialer{Linger: &linger.Closer{Policy: policy}},
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.Addr().String(), nil)
		if resp, err := tr.RoundTrip(req); err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		} else if errors.Is(err, context.DeadlineExceeded) {
			t.Error("the request hangs")
		}
		shutdown(t, tr)
	})
}
