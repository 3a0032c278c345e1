package pool

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// both runs f with net/http's transport and with ours: whatever differs shows.
func both(t *testing.T, base *http.Transport, f func(t *testing.T, rt http.RoundTripper)) {
	t.Run("net/http", func(t *testing.T) {
		stock := base.Clone()
		f(t, stock)
		stock.CloseIdleConnections()
	})
	t.Run("pool", func(t *testing.T) {
		tr := &Transport{Base: base}
		f(t, tr)
		shutdown(t, tr)
	})
}

// eachBoth is both, for each protocol.
func eachBoth(t *testing.T, protos []string, h http.Handler, f func(t *testing.T, rt http.RoundTripper, url string)) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			srv, base := newServer(t, proto, h)
			both(t, base, func(t *testing.T, rt http.RoundTripper) { f(t, rt, srv.URL) })
		})
	}
}

// TestConnect: a CONNECT request of the caller's own is a tunnel, with the
// request's body as the way there and the response's as the way back.
func TestConnect(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != "target.example:99" {
			t.Errorf("got %s %s", r.Method, r.Host)
		}
		if r.ProtoMajor == 1 {
			c, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			io.Copy(c, rw)
			return
		}
		echoBody(w, r)
	})
	eachBoth(t, protos, h, func(t *testing.T, rt http.RoundTripper, base string) {
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		there, body := io.Pipe()
		req := (&http.Request{
			Method: http.MethodConnect, URL: u, Host: "target.example:99",
			Header: make(http.Header), Body: there, ContentLength: -1,
		}).WithContext(t.Context())
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		defer body.Close()
		turns(t, body, resp.Body)
	})
}

// echoBody sends the request's body back as it comes.
func echoBody(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	c.EnableFullDuplex() // HTTP/2 has it
	c.Flush()
	buf := make([]byte, 4096)
	for {
		n, err := r.Body.Read(buf)
		w.Write(buf[:n])
		c.Flush()
		if err != nil {
			return
		}
	}
}

// turns sends lines and waits for each to come back.
func turns(t *testing.T, to io.Writer, from io.Reader) {
	t.Helper()
	back := bufio.NewReader(from)
	for i := range 100 {
		line := fmt.Sprintf("line %d\n", i)
		if _, err := io.WriteString(to, line); err != nil {
			t.Fatal(err)
		}
		if got, err := back.ReadString('\n'); err != nil || got != line {
			t.Fatalf("got %q, %v; want %q", got, err, line)
		}
	}
}

// TestFullDuplex: a response that begins before the request's body has ended.
func TestFullDuplex(t *testing.T) {
	eachBoth(t, protos, http.HandlerFunc(echoBody), func(t *testing.T, rt http.RoundTripper, url string) {
		there, body := io.Pipe()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url, there)
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		turns(t, body, resp.Body)
		body.Close()
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 0 {
			t.Errorf("the rest is %q, %v", rest, err)
		}
		resp.Body.Close()
	})
}

// TestTrailersBothWays: of the request and of the response, announced and not.
func TestTrailersBothWays(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Announced")
		if _, announced := r.Trailer["X-Sum"]; !announced {
			t.Errorf("announced: %v", r.Trailer)
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d bytes, %s", n, r.Trailer.Get("X-Sum"))
		w.Header().Set("X-Announced", "yes")
		w.Header().Set(http.TrailerPrefix+"X-Not", "either")
	})
	eachBoth(t, protos, h, func(t *testing.T, rt http.RoundTripper, url string) {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
		req.Trailer = http.Header{"X-Sum": nil}
		req.Body = io.NopCloser(io.MultiReader(strings.NewReader("hello"), readerFunc(func([]byte) (int, error) {
			req.Trailer.Set("X-Sum", "5d41")
			return 0, io.EOF
		})))
		req.ContentLength = -1
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, announced := resp.Trailer["X-Announced"]; !announced {
			t.Errorf("announced: %v", resp.Trailer)
		}
		if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "5 bytes, 5d41" {
			t.Errorf("got %q, %v", b, err)
		}
		if resp.Trailer.Get("X-Announced") != "yes" || resp.Trailer.Get("X-Not") != "either" {
			t.Errorf("got %v", resp.Trailer)
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestEarlyHints: interim responses are told to the trace, and are not the response.
func TestEarlyHints(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := range 3 {
			w.Header().Set("Link", fmt.Sprintf("</%d.css>", i))
			w.WriteHeader(http.StatusEarlyHints)
			if r.URL.Path == "/one" {
				<-r.Context().Done() // net/http's own server must not write on
				return
			}
		}
		w.Header().Del("Link")
		io.WriteString(w, "done")
	})
	eachBoth(t, protos, h, func(t *testing.T, rt http.RoundTripper, url string) {
		for range 2 { // on a new connection, and on a reused one
			var hints []string
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
					hints = append(hints, fmt.Sprint(code, header.Get("Link")))
					return nil
				},
			})
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			resp, err := rt.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || string(b) != "done" || resp.StatusCode != http.StatusOK || resp.Header.Get("Link") != "" {
				t.Errorf("got %v, %q, %v", resp, b, err)
			}
			if got := strings.Join(hints, " "); got != "103</0.css> 103</1.css> 103</2.css>" {
				t.Errorf("got hints %q", got)
			}
		}
		refuses := errors.New("no hints")
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(int, textproto.MIMEHeader) error { return refuses },
		})
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url+"/one", nil)
		if _, err := rt.RoundTrip(req); err == nil || !strings.Contains(err.Error(), refuses.Error()) {
			t.Errorf("got %v, want the trace's error", err)
		}
	})
}

// TestExpectContinue: the body waits for the server's word, and no longer than
// ExpectContinueTimeout.
func TestExpectContinue(t *testing.T) {
	release := make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/refused":
			w.WriteHeader(http.StatusExpectationFailed)
			return
		case "/silent":
			<-release // the body, which the client sends unasked, is there by then
		}
		io.Copy(w, r.Body)
	})
	defer close(release)
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			srv, base := newServer(t, proto, h)
			base.ExpectContinueTimeout = time.Minute
			ask := func(t *testing.T, rt http.RoundTripper, path string, taken func()) (string, bool, int) {
				var continued atomic.Bool
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got100Continue: func() { continued.Store(true) }})
				text := strings.NewReader("payload")
				body := readerFunc(func(p []byte) (int, error) { taken(); return text.Read(p) })
				req, _ := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL+path, body)
				req.ContentLength = 7
				req.Header.Set("Expect", "100-continue")
				resp, err := rt.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				b, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Error(err)
				}
				return string(b), continued.Load(), resp.StatusCode
			}
			both(t, base, func(t *testing.T, rt http.RoundTripper) {
				for range 2 {
					if got, continued, _ := ask(t, rt, "/", func() {}); got != "payload" || !continued {
						t.Errorf("accepted: got %q, 100: %t", got, continued)
					}
					var taken atomic.Bool
					if got, continued, code := ask(t, rt, "/refused", func() { taken.Store(true) }); code != http.StatusExpectationFailed || got != "" || continued || taken.Load() {
						t.Errorf("refused: got %q, %d, 100: %t, body taken: %t", got, code, continued, taken.Load())
					}
				}
			})
			base.ExpectContinueTimeout = 20 * time.Millisecond
			both(t, base, func(t *testing.T, rt http.RoundTripper) {
				let := false
				got, continued, _ := ask(t, rt, "/silent", func() {
					if !let {
						let = true
						release <- struct{}{}
					}
				})
				if got != "payload" {
					t.Errorf("silent: got %q, 100: %t", got, continued)
				}
			})
		})
	}
}

// TestServerSentEvents: events arrive as they are flushed, and Close of a body
// without end returns at once.
func TestServerSentEvents(t *testing.T) {
	next := make(chan struct{})
	gone := make(chan struct{}, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { gone <- struct{}{} }()
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 0; ; i++ {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	})
	eachBoth(t, protos, h, func(t *testing.T, rt http.RoundTripper, url string) {
		resp, err := rt.RoundTrip(mustRequest(t, url))
		if err != nil {
			t.Fatal(err)
		}
		events := bufio.NewReader(resp.Body)
		for i := range 50 {
			var got [2]string
			for j := range got {
				if got[j], err = events.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			if got[0] != fmt.Sprintf("data: %d\n", i) {
				t.Fatalf("got %q for event %d", got, i)
			}
			next <- struct{}{} // the next one only comes when this one has arrived
		}
		closed := make(chan struct{})
		go func() { resp.Body.Close(); close(closed) }()
		for _, c := range []chan struct{}{closed, gone} {
			select {
			case <-c:
			case <-time.After(20 * time.Second):
				t.Fatal("Close has not returned, or the server was not told")
			}
		}
	})
}

// TestCloseLetsGoOfReaders: Close while somebody reads an endless body.
func TestCloseLetsGoOfReaders(t *testing.T) {
	eachBoth(t, protos, stuck, func(t *testing.T, rt http.RoundTripper, url string) {
		resp, err := rt.RoundTrip(mustRequest(t, url))
		if err != nil {
			t.Fatal(err)
		}
		io.ReadFull(resp.Body, make([]byte, 1))
		read := make(chan error, 1)
		go func() {
			_, err := resp.Body.Read(make([]byte, 1))
			read <- err
		}()
		resp.Body.Close()
		select {
		case err := <-read:
			if err == nil {
				t.Error("no error")
			}
		case <-time.After(20 * time.Second):
			t.Error("the reader is not let go")
		}
	})
}

// TestUpgradeHalfClose: what net/http's body of an upgraded connection can do,
// ours can.
func TestUpgradeHalfClose(t *testing.T) {
	srv, base := newServer(t, "http", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\n\r\nat once ")
		all, _ := io.ReadAll(rw)
		c.Write(bytes.ToUpper(all))
	}))
	for _, protocol := range []string{"other", "websocket"} {
		t.Run(protocol, func(t *testing.T) {
			both(t, base, func(t *testing.T, rt http.RoundTripper) {
				req := mustRequest(t, srv.URL)
				req.Header.Set("Connection", "Upgrade")
				req.Header.Set("Upgrade", protocol)
				resp, err := rt.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				io.WriteString(resp.Body.(io.Writer), "hello")
				if err := resp.Body.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
					t.Fatal(err)
				}
				if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "at once HELLO" {
					t.Errorf("got %q, %v", b, err)
				}
			})
		})
	}
}
