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
	name  string
	rt    http.RoundTripper
	host  func(i int) string // the URL of the i-th host
	size  int                // of each body
	gap   func() time.Duration
	known func(i int) bool // whether the limit of the i-th host is known; or nil: always

	// Apache says "Keep-Alive: timeout=" to clients that ask to be kept only.
	asks bool

	// limit, if not 0, is the server's: see held.
	limit time.Duration

	failed, after atomic.Int64 // POSTs that failed; of those, once it was known
	late          atomic.Int64 // POSTs sent once it was known
	stalled       atomic.Int64 // POSTs that were held up
	excused       atomic.Int64 // of those that failed once it was known: held up
}

// held reports whether the machine alone can have been late: a POST that came
// when the pool may still lend the connection, by its margin, was not answered
// before the server's time was over, counted from when the request before it
// was sent. A pool that lends for too long is not excused by it.
func (v *visitor) held(before, rest, post, now time.Time) bool {
	return v.limit > 0 && post.Sub(rest) <= v.limit-margin(v.limit) && now.Sub(before) >= v.limit-apachesHaste
}

// apachesHaste is how long before its time Apache closes.
const apachesHaste = 100 * time.Millisecond

func (v *visitor) visit(ctx context.Context, t *testing.T, i, posts int) {
	var before, rest time.Time
	for range posts {
		known := v.known == nil || v.known(i)
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.host(i), bytes.NewReader(make([]byte, v.size)))
		if err != nil {
			t.Error(err)
			return
		}
		if v.asks {
			req.Header.Set("Connection", "keep-alive")
		}
		post := time.Now()
		resp, err := v.rt.RoundTrip(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.Close {
				t.Errorf("%s does not keep the connection: %s", v.host(i), resp.Status)
				return
			}
		}
		held := !rest.IsZero() && v.held(before, rest, post, time.Now())
		if held {
			v.stalled.Add(1)
		}
		if known {
			v.late.Add(1)
		}
		if err != nil {
			v.failed.Add(1)
			if known {
				v.after.Add(1)
			}
			if known && held {
				v.excused.Add(1)
			}
			if known && v.limit > 0 {
				t.Logf("a POST after a rest of %v failed within %v, held up: %t: %v", post.Sub(rest), time.Since(post), held, err)
			}
		}
		before, rest = post, time.Now()
		<-time.After(v.gap())
	}
}

// around returns gaps that are shorter or longer than limit by spread at most.
func around(limit, spread time.Duration) func() time.Duration {
	return func() time.Duration { return limit - spread + rand.N(2*spread) }
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
		servers := []*impatient{announcing, silent, forStock}
		visitors := []*visitor{
			{name: "announced", rt: heeds},
			{name: "learned", rt: learns, known: func(i int) bool { return learnedLimit(learns, silent.host(i)) }},
			{name: "stock", rt: stock},
		}
		var wg sync.WaitGroup
		for i, v := range visitors {
			v.host, v.size, v.gap = servers[i].host, 100, around(time.Second, 100*time.Millisecond)
			servers[i].serve(t)
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
		for i, v := range visitors {
			lab.Settle(t, servers[i].addr, 10*time.Second)
			client, server := lab.TimeWaits(t, servers[i].addr)
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
// two seconds: Apache announces that if asked to, nginx and lighttpd do not. All of them keep
// the connection after a POST without a body, whatever they say to it.
func TestKernelRealClocks(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup // at a time, whatever -parallel is: they do little but wait
	for _, p := range []netlab.Program{netlab.Apache, netlab.Nginx, netlab.Lighttpd} {
		wg.Go(func() {
			t.Run(p.Name, func(t *testing.T) {
				netlab.Run(t, func(lab *netlab.Lab) { visitProgram(t, lab, p) })
			})
		})
	}
	wg.Wait()
}

func visitProgram(t *testing.T, lab *netlab.Lab, p netlab.Program) {
	const limit, callers, posts = 2 * time.Second, 50, 12
	srv := lab.Start(t, p, netlab.Config{KeepAlive: limit})
	url := "http://" + srv.Plain.String() + "/"
	announces := p.Name == netlab.Apache.Name
	var meter metrics.Meter
	var learned, failed, after, late, stalled, excused atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		// Each has a pool of its own: among them they would keep one another's
		// connections from resting for long.
		tr := &Transport{Meter: &meter}
		v := &visitor{rt: tr, host: func(int) string { return url }, gap: around(limit, 600*time.Millisecond), limit: limit, asks: announces}
		if !announces {
			v.known = func(int) bool { return learnedLimit(tr, url) }
		}
		wg.Go(func() {
			v.visit(t.Context(), t, 0, posts)
			<-time.After(limit) // the last connection is closed as well
			if learnedLimit(tr, url) {
				learned.Add(1)
			}
			failed.Add(v.failed.Load())
			after.Add(v.after.Load())
			late.Add(v.late.Load())
			stalled.Add(v.stalled.Load())
			excused.Add(v.excused.Load())
			shutdownQuietly(t, tr)
		})
	}
	wg.Wait()
	s := meter.Snapshot()
	t.Logf("%v", s)
	t.Logf("%d of %d POSTs failed; with the limit known %d of %d; %d of %d pools have learned it; the machine held up %d POSTs, %d of the failed among them",
		failed.Load(), callers*posts, after.Load(), late.Load(), learned.Load(), callers, stalled.Load(), excused.Load())
	switch p.Name {
	case netlab.Apache.Name:
		if int64(s.Retries) > stalled.Load() || failed.Load() > excused.Load() {
			t.Errorf("%d retries, %d failures although the limit is announced, want none", s.Retries, failed.Load())
		}
	case netlab.Nginx.Name: // lighttpd looks at its clock once a second: there may be no limit to learn
		if learned.Load() <= callers/2 {
			t.Errorf("%d of %d pools have learned the limit, want most", learned.Load(), callers)
		}
	}
	if n := after.Load() - excused.Load(); n > 3 {
		t.Errorf("%d of %d POSTs failed with the limit known, want 3 at most", n, late.Load())
	}
	if s.Reasons["server_close"] < s.Born*9/10 {
		t.Errorf("of %d connections the server was to close all: %v", s.Born, s.Reasons)
	}
	if s.Born == s.Requests {
		t.Error("no connection was used again: the test shows nothing")
	}
	lab.Settle(t, srv.Plain, 10*time.Second)
	if client, _ := lab.TimeWaits(t, srv.Plain); client != 0 {
		t.Errorf("%d TIME_WAITs here", client)
	}
}
