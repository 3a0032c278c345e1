package pool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A verdict is what an HTTP/2 server's behaviour says of a request.
type verdict uint8

const (
	refused  verdict = iota // the server says that it has not begun: any request may be sent again, also from a new connection
	unsent                  // the connection ended before: any request, if the connection was a reused one
	unknown                 // the server may have begun: what does no harm twice, if the connection was a reused one
	answered                // the server has said something of this request: no request
)

// http2Ways are the ways in which an HTTP/2 request fails.
var http2Ways = []struct {
	name    string
	verdict verdict
	newToo  verdict // of a request that is the first of its connection
	before  bool    // between the lease and the request
	act     func(s *rawHTTP2, stream uint32)
}{
	{"REFUSED_STREAM", refused, refused, false, func(s *rawHTTP2, id uint32) { s.reset(id, refusedStream) }},
	{"GOAWAY without it", refused, refused, false, func(s *rawHTTP2, id uint32) { s.goAway(id-1, codeNo) }},
	// An error on the first stream is about the request, not about the server's going away.
	{"GOAWAY without it, error", refused, answered, false, func(s *rawHTTP2, id uint32) { s.goAway(id-1, codeInternal) }},
	{"GOAWAY with it, close", unknown, unknown, false, func(s *rawHTTP2, id uint32) { s.goAway(id, codeNo); s.Close() }},
	{"close", unknown, unknown, false, func(s *rawHTTP2, id uint32) { s.Close() }},
	{"reset", unknown, unknown, false, func(s *rawHTTP2, id uint32) { s.Conn.(*net.TCPConn).SetLinger(0); s.Close() }},
	{"PROTOCOL_ERROR", unknown, unknown, false, func(s *rawHTTP2, id uint32) { s.reset(id, protocolError) }},
	{"INTERNAL_ERROR", answered, answered, false, func(s *rawHTTP2, id uint32) { s.reset(id, codeInternal) }},
	// ":status: 103", a literal with the name from the static table. It is not the response yet.
	{"103, close", unknown, unknown, false, func(s *rawHTTP2, id uint32) { s.headers(id, 0, 0x08, 3, '1', '0', '3'); s.Close() }},
	{"200, close", answered, answered, false, func(s *rawHTTP2, id uint32) { s.headers(id, 0, 0x88); s.Close() }},
	{"closed before", unsent, unsent, true, func(s *rawHTTP2, id uint32) { s.Close() }},
	{"GOAWAY before", refused, refused, true, func(s *rawHTTP2, id uint32) { s.goAway(0, codeNo) }},
}

// TestReplayHTTP2 plays each way with each kind of request.
func TestReplayHTTP2(t *testing.T) {
	for i, way := range http2Ways {
		for _, reused := range []bool{false, true} {
			for _, m := range []struct {
				method string
				key    bool
			}{{"GET", false}, {"POST", false}, {"POST", true}, {"PUT", false}} {
				for _, body := range []string{noBody, getBody, oneShot} {
					v := &victim2{way: i, reused: reused, method: m.method, key: m.key, bodyKind: body}
					name := fmt.Sprintf("%s/reused=%t/%s+key=%t/%s", way.name, reused, m.method, m.key, body)
					t.Run(strings.ReplaceAll(name, " ", "_"), v.test)
				}
			}
		}
	}
}

// A victim2 is a request that fails on HTTP/2, and its server.
type victim2 struct {
	way      int
	reused   bool
	method   string
	key      bool
	bodyKind string

	arrived atomic.Int32 // requests but the one that makes the connection a used one
	body    countingBody
	before  chan bool // begins what happens before the request
	first   *heedingConn
}

// mustReplay is the rule for HTTP/2.
func (v *victim2) mustReplay() bool {
	way := http2Ways[v.way]
	verdict := way.verdict
	if !v.reused {
		verdict = way.newToo
	}
	harmless := v.method == http.MethodGet || v.key
	// The server acts when it has all of the request, or before any of it.
	canSendBody := v.bodyKind != oneShot || way.before
	switch verdict {
	case refused:
		return canSendBody
	case unsent:
		return canSendBody && v.reused
	case unknown:
		return canSendBody && v.reused && harmless
	}
	return false
}

func (v *victim2) test(t *testing.T) {
	t.Parallel() // each waits for a farewell
	way := http2Ways[v.way]
	v.before = make(chan bool, 1)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer func() { l.Close(); wg.Wait() }()
	wg.Go(func() {
		for first := true; ; first = false {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { v.serve(c, first) })
		}
	})
	url := "http://" + l.Addr().String()
	base := &http.Transport{Protocols: speaking("h2c"), DialContext: v.dial}
	tr := &Transport{Base: base, IdleTimeout: time.Minute}
	defer shutdown(t, tr)
	if v.reused {
		get(t, tr, url)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var once sync.Once
	if way.before {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
			once.Do(func() { v.before <- true; <-v.first.heeded })
		}})
	}
	req, err := http.NewRequestWithContext(ctx, v.method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if v.key {
		req.Header.Set("Idempotency-Key", "1")
	}
	v.body.Reader = strings.NewReader("payload")
	switch v.bodyKind {
	case getBody:
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("payload")), nil }
		req.Body, _ = req.GetBody()
	case oneShot:
		req.Body = &v.body
	}
	resp, err := tr.RoundTrip(req)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	want := v.mustReplay()
	if (err == nil) != want {
		t.Errorf("error %v; sent again should be %t", err, want)
	}
	arrivals := int32(1)
	if way.before {
		arrivals--
	}
	if want {
		arrivals++
	}
	if n := v.arrived.Load(); n != arrivals {
		t.Errorf("the request arrived %d times, want %d (%v)", n, arrivals, err)
	}
	if s := tr.Stats(); s.Retries != map[bool]uint64{true: 1}[want] {
		t.Errorf("%d retries counted", s.Retries)
	}
	if err != nil && errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// serve answers requests, but for the one that fails.
func (v *victim2) serve(c net.Conn, first bool) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	s, err := newRawHTTP2(c)
	if err != nil {
		return
	}
	way := http2Ways[v.way]
	if first && v.reused {
		s.ok(s.request())
	}
	if first && way.before {
		select {
		case <-v.before:
		case <-time.After(10 * time.Second):
		}
		way.act(s, 0)
		first = false
	}
	for id := s.request(); id != 0; id = s.request() {
		v.arrived.Add(1)
		if first {
			first = false
			way.act(s, id)
			continue
		}
		s.ok(id)
	}
}

func (v *victim2) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil || v.first != nil {
		return c, err
	}
	v.first = &heedingConn{Conn: c, v: v, heeded: make(chan struct{})}
	return v.first, nil
}

// A heedingConn tells when the client has taken in what the server did before
// the request: it closes the connection, or reads on after GOAWAY.
type heedingConn struct {
	net.Conn
	v      *victim2
	once   sync.Once
	heeded chan struct{}
	goAway bool
}

func (c *heedingConn) Close() error {
	err := c.Conn.Close()
	c.heed()
	return err
}

func (c *heedingConn) heed() { c.once.Do(func() { close(c.heeded) }) }

func (c *heedingConn) Read(p []byte) (int, error) {
	if c.goAway {
		c.heed()
	}
	n, err := c.Conn.Read(p)
	c.goAway = bytes.Contains(p[:n], []byte{0, 0, 8, frameGoAway, 0})
	return n, err
}

// TestGoAwayAsGreeting: a server that is about to restart says GOAWAY on a
// connection before its first request. Any request goes to the next one.
func TestGoAwayAsGreeting(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			l := newPipeListener()
			var wg sync.WaitGroup
			wg.Go(func() {
				for first := true; ; first = false {
					c, err := l.Accept()
					if err != nil {
						return
					}
					wg.Go(func() {
						defer c.Close()
						s, err := newRawHTTP2(c)
						if err != nil {
							return
						}
						if first {
							s.goAway(0, codeNo)
						}
						for id := s.request(); id != 0; id = s.request() {
							if !first {
								s.ok(id)
							}
						}
					})
				}
			})
			tr := &Transport{Base: &http.Transport{Protocols: speaking("h2c"), DialContext: l.DialContext}}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, pipeURL, nil)
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Error(err)
			} else {
				resp.Body.Close()
			}
			shutdown(t, tr)
			l.Close()
			wg.Wait()
		})
	}
}
