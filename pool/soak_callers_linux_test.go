package pool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	soakTimeout = 10 * time.Second       // of each request
	soakThink   = 200 * time.Millisecond // about, between two requests of one caller
)

// A soakClient is one of those that the callers use by turns. What speaks
// HTTP/2 in plaintext speaks it only, so that each has two transports.
type soakClient struct {
	name string
	port uint16
	http http.RoundTripper // and https
	h2c  http.RoundTripper

	sent atomic.Int64
}

func newSoakClient(name string, port uint16, of func(*http.Transport) http.RoundTripper) *soakClient {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.Proxy = nil
	base.MaxIdleConns, base.MaxIdleConnsPerHost = 0, 1000
	base.IdleConnTimeout = 5 * time.Second
	base.TLSClientConfig = insecure.Clone()
	base.Protocols = new(http.Protocols)
	base.Protocols.SetHTTP1(true)
	base.Protocols.SetHTTP2(true)
	c := base.Clone()
	c.Protocols = speaking("h2c")
	return &soakClient{name: name, port: port, http: of(base), h2c: of(c)}
}

// A connLog keeps the connections of net/http's, so that those which are left are
// not taken for ours: an HTTP/2 connection whose server has said GOAWAY can
// outlive CloseIdleConnections.
type connLog struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (l *connLog) dialing(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err == nil {
			l.mu.Lock()
			l.conns = append(l.conns, c)
			l.mu.Unlock()
		}
		return c, err
	}
}

// closeAll closes them, and returns how many were open.
func (l *connLog) closeAll() (open int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		if c.Close() == nil {
			open++
		}
	}
	return open
}

func (c *soakClient) each(f func(http.RoundTripper)) { f(c.http); f(c.h2c) }

// A call is one request and what became of it.
type call struct {
	client     *soakClient
	window     int
	loss       bool // packets got lost
	host       int
	id         int // of a POST; else -1
	method     string
	idempotent bool
	cancelled  bool
	begin, end time.Time
	answered   bool  // by the server's handler
	well       bool  // the host was well, and the response came whole
	err        error // nil if the response was as it should be
	wrong      bool  // it is an error that no host explains
}

func (c *call) String() string {
	_, proto := soakHost(c.host)
	return fmt.Sprintf("%s: %s to host %d (%s), packets lost: %t, after %v: %v",
		c.client.name, c.method, c.host, proto, c.loss, c.end.Sub(c.begin).Round(time.Millisecond), c.err)
}

// soakCallers send requests, each one at a time, until stop is closed.
type soakCallers struct {
	stop   chan struct{}
	window atomic.Pointer[soakWindow]
	nextID atomic.Int64
	wg     sync.WaitGroup

	calls [][]call // by caller: POSTs, and failures
	took  [][]latency
}

// A latency is that of a GET whose response came whole from a host that was well.
type latency struct {
	window, host int
	begin        time.Time
	took         time.Duration
}

func (s *soakCallers) begin(n int) {
	s.calls, s.took = make([][]call, n), make([][]latency, n)
	for i := range n {
		s.wg.Go(func() {
			for think := time.Duration(0); ; think = rand.N(2 * soakThink) {
				select {
				case <-s.stop:
					return
				case <-time.After(think):
				}
				c := s.call()
				if c.id >= 0 || c.err != nil {
					s.calls[i] = append(s.calls[i], c)
				}
				if c.well && c.method == http.MethodGet {
					s.took[i] = append(s.took[i], latency{c.window, c.host, c.begin, c.end.Sub(c.begin)})
				}
			}
		})
	}
}

// call sends one request of some kind to some host.
func (s *soakCallers) call() call {
	w := s.window.Load()
	c := call{client: w.client, window: w.number, loss: w.loss, host: rand.IntN(soakHosts), id: -1, method: http.MethodGet, idempotent: true}
	addr, proto := soakHost(c.host)
	size := []int{0, 101, 1000, 20_001, 20_000, 300_000}[rand.IntN(6)]
	if size == 300_000 && rand.IntN(5) > 0 {
		size = 4000
	}
	scheme, rt := "http", c.client.http
	switch proto {
	case "https", "h2":
		scheme = "https"
	case "h2c":
		rt = c.client.h2c
	}
	var body io.Reader
	switch rand.IntN(20) {
	case 0:
		c.method = http.MethodHead
	case 1, 2, 3, 4:
		c.method = http.MethodPost
		c.id = int(s.nextID.Add(1)) - 1
		c.idempotent = c.id%4 == 0
		body = bytes.NewReader(soakBytes[:rand.IntN(len(soakBytes))])
		if c.id%3 == 0 {
			body = io.MultiReader(body) // which cannot be had again
			c.idempotent = false
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), soakTimeout)
	defer cancel()
	if rand.IntN(100) == 0 {
		c.cancelled = true
		defer time.AfterFunc(rand.N(20*time.Millisecond), cancel).Stop()
	}
	url := fmt.Sprintf("%s://%v/?%d", scheme, netip.AddrPortFrom(addr, c.client.port), size)
	req, err := http.NewRequestWithContext(ctx, c.method, url, body)
	if err != nil {
		panic(err)
	}
	if c.id >= 0 {
		req.Header.Set("X-Id", strconv.Itoa(c.id))
		if c.idempotent {
			req.Header.Set("Idempotency-Key", strconv.Itoa(c.id))
		}
	}
	c.client.sent.Add(1)
	c.begin = time.Now()
	c.err = c.send(rt, req)
	c.end = time.Now()
	return c
}

// send sends the request, and uses its response in one of several ways.
func (c *call) send(rt http.RoundTripper, req *http.Request) error {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	sent, got := req.Header.Get("X-Id"), resp.Header.Get("X-Id")
	if got != "" && got != sent {
		c.wrong = true
		return fmt.Errorf("the answer to %q came for %q", got, sent)
	}
	c.answered = c.id >= 0 && got == sent
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	switch rand.IntN(8) {
	case 0:
		return nil // unread
	case 1:
		_, err := io.CopyN(io.Discard, resp.Body, int64(1+rand.IntN(50_000)))
		if err == io.EOF {
			err = nil
		}
		return err
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		return err
	}
	size, well := resp.Header.Get("X-Size"), resp.Header.Get("X-Well") != ""
	if size != "" && c.method != http.MethodHead && strconv.FormatInt(n, 10) != size {
		c.wrong = true
		return fmt.Errorf("%d bytes of %s came as if they were all", n, size)
	}
	c.well = well
	return nil
}
