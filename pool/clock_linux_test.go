package pool

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/metrics"
)

// An impatient server closes a connection that has rested for limit. As for a
// client some way off, its FIN comes late: what arrives after it has made up
// its mind is lost.
type impatient struct {
	limit, way time.Duration
	announce   bool
	addr       netip.AddrPort // of any of its hosts
	posts      atomic.Int64
}

func (s *impatient) serve(t *testing.T) {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(l.Addr().(*net.TCPAddr).Port))
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.converse(c) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
}

func (s *impatient) converse(c net.Conn) {
	defer c.Close()
	head := "HTTP/1.1 200 OK\r\nContent-Length: 5"
	if s.announce {
		head += fmt.Sprintf("\r\nKeep-Alive: timeout=%d", s.limit/time.Second)
	}
	r := bufio.NewReader(c)
	for {
		c.SetReadDeadline(time.Now().Add(s.limit))
		if _, err := r.Peek(1); err != nil {
			<-time.After(s.way)
			return
		}
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if !answer(c, r, head) {
			return
		}
		s.posts.Add(1)
	}
}

// host returns the URL of the i-th host.
func (s *impatient) host(i int) string {
	return fmt.Sprintf("http://127.0.1.%d:%d/", 1+i, s.addr.Port())
}

// A visitor sends POSTs to a server's hosts, one after the other to each, at
// random gaps around its limit.
type visitor struct {
	name   string
	rt     http.RoundTripper
	server *impatient
	known  func(i int) bool // whether the limit of the i-th host is known; or nil

	failed, after atomic.Int64 // POSTs that failed; of those, once it was known
	late          atomic.Int64 // POSTs sent once it was known
}

func (v *visitor) visit(ctx context.Context, t *testing.T, i, posts int) {
	for range posts {
		known := v.known == nil || v.known(i)
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.server.host(i), bytes.NewReader(make([]byte, 100)))
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := v.rt.RoundTrip(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		if known {
			v.late.Add(1)
		}
		if err != nil {
			v.failed.Add(1)
			if known {
				v.after.Add(1)
			}
		}
		<-time.After(v.server.limit + rand.N(200*time.Millisecond) - 100*time.Millisecond)
	}
}

// TestKernelServersClock: 20,000 POSTs to 200 hosts that close connections after
// one second, at gaps of about that. With the limit announced none fails; with
// it learned hardly any does.
func TestKernelServersClock(t *testing.T) {
	t.Parallel()
	netlab.Run(t, func(lab *netlab.Lab) {
		hosts, posts := 200, 100
		if testing.Short() {
			posts = 15
		}
		announcing := &impatient{limit: time.Second, way: 25 * time.Millisecond, announce: true}
		silent := &impatient{limit: time.Second, way: 25 * time.Millisecond}
		forStock := &impatient{limit: time.Second, way: 25 * time.Millisecond}
		heeds, learns := new(Transport), new(Transport)
		stock := http.DefaultTransport.(*http.Transport).Clone()
		stock.MaxIdleConns = 0
		visitors := []*visitor{
			{name: "announced", rt: heeds, server: announcing},
			{name: "learned", rt: learns, server: silent, known: func(i int) bool { return learnedLimit(learns, silent.host(i)) }},
			{name: "stock", rt: stock, server: forStock},
		}
		var wg sync.WaitGroup
		for _, v := range visitors {
			v.server.serve(t)
			for i := range hosts {
				wg.Go(func() {
					<-time.After(rand.N(time.Second))
					v.visit(t.Context(), t, i, posts)
				})
			}
		}
		wg.Wait()
		for _, v := range visitors {
			t.Logf("%s: %d of %d POSTs failed; with the limit known %d of %d", v.name, v.failed.Load(), hosts*posts, v.after.Load(), v.late.Load())
		}
		a, l, s := visitors[0], visitors[1], visitors[2]
		if n := heeds.Stats(); a.failed.Load() != 0 || n.Retries != 0 {
			t.Errorf("announced: %d failures, %d retries; want none", a.failed.Load(), n.Retries)
		}
		if s.failed.Load() < 50 {
			t.Errorf("stock net/http fails %d times only: the test shows nothing", s.failed.Load())
		}
		if 100*l.after.Load() > s.failed.Load() {
			t.Errorf("learned: %d failures, stock %d; want 1 %% at most", l.after.Load(), s.failed.Load())
		}
		if l.late.Load() < int64(hosts*posts/2) && !testing.Short() {
			t.Errorf("the limit was known for %d of %d POSTs only", l.late.Load(), hosts*posts)
		}
		shutdownQuietly(t, heeds)
		shutdownQuietly(t, learns)
		stock.CloseIdleConnections()
		for _, v := range visitors {
			lab.Settle(t, v.server.addr, 10*time.Second)
			client, server := lab.TimeWaits(t, v.server.addr)
			t.Logf("%s: TIME_WAITs: client %d, server %d", v.name, client, server)
			if tr, ok := v.rt.(*Transport); ok && (client != 0 || tr.Stats().TimeWaits != 0) {
				t.Errorf("%s: %d TIME_WAITs, %d counted; want none", v.name, client, tr.Stats().TimeWaits)
			}
		}
	})
}

// learnedLimit reports whether tr has learned the limit of the URL's host.
func learnedLimit(tr *Transport, url string) bool {
	for _, g := range tr.allGroups() {
		if g.key.String()+"/" == url {
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.clock.limit > 0
		}
	}
	return false
}

// TestKernelRealClocks: the same with servers that people run, which close after
// two seconds: Apache announces that, nginx and lighttpd do not.
func TestKernelRealClocks(t *testing.T) {
	t.Parallel()
	for _, p := range []netlab.Program{netlab.Apache, netlab.Nginx, netlab.Lighttpd} {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			netlab.Run(t, func(lab *netlab.Lab) {
				const limit, callers, gets = 2 * time.Second, 50, 8
				srv := lab.Start(t, p, netlab.Config{KeepAlive: limit})
				var meter metrics.Meter
				var wg sync.WaitGroup
				for range callers {
					// Each has a pool of its own: among them they would keep
					// one another's connections from resting for long.
					tr := &Transport{Meter: &meter}
					wg.Go(func() {
						for range gets {
							get(t, tr, "http://"+srv.Plain.String()+"/")
							<-time.After(limit + rand.N(800*time.Millisecond) - 400*time.Millisecond)
						}
						<-time.After(limit + limit/2)
						shutdownQuietly(t, tr)
					})
				}
				wg.Wait()
				s := meter.Snapshot()
				t.Logf("%v", s)
				if p.Name == netlab.Apache.Name && s.Retries != 0 {
					t.Errorf("%d retries although the limit is announced, want none", s.Retries)
				}
				if s.Reasons["server_close"] < s.Born*9/10 {
					t.Errorf("of %d connections the server was to close all: %v", s.Born, s.Reasons)
				}
				lab.Settle(t, srv.Plain, 10*time.Second)
				if client, _ := lab.TimeWaits(t, srv.Plain); client != 0 {
					t.Errorf("%d TIME_WAITs here", client)
				}
			})
		})
	}
}
