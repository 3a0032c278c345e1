package pool

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lastack/lastack/metrics"
)

// A pipeListener is a network in memory, for tests of time: in a bubble, hours
// take milliseconds.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	dials  atomic.Int32
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipeListener) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	l.dials.Add(1)
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, errors.New("nobody listens")
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// serveEach has serve look after each connection, until the listener is closed.
func (l *pipeListener) serveEach(wg *sync.WaitGroup, serve func(net.Conn)) {
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
}

// inBubble runs f in a bubble with a server that h is, and a Base that dials it.
func inBubble(t *testing.T, h http.Handler, f func(t *testing.T, base *http.Transport, l *pipeListener)) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		srv := &http.Server{Handler: h, ErrorLog: quiet}
		var wg sync.WaitGroup
		wg.Go(func() { srv.Serve(l) })
		f(t, &http.Transport{DialContext: l.DialContext}, l)
		srv.Close()
		wg.Wait()
	})
}

const pipeURL = "http://in.memory/"

func wantReason(t *testing.T, tr *Transport, reason string, n uint64) {
	t.Helper()
	if s := tr.Stats(); s.Reasons[reason] != n {
		t.Errorf("reasons %v, want %d %s", s.Reasons, n, reason)
	}
}

func wantResting(t *testing.T, tr *Transport, n int64) {
	t.Helper()
	synctest.Wait()
	if s := tr.Stats(); s.Resting != n {
		t.Errorf("%d connections rest, want %d", s.Resting, n)
	}
}

func TestIdleTimeout(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		tr := &Transport{Base: base, IdleTimeout: time.Hour}
		get(t, tr, pipeURL)
		time.Sleep(53 * time.Minute)
		get(t, tr, pipeURL)
		time.Sleep(53 * time.Minute)
		wantResting(t, tr, 1)
		time.Sleep(7 * time.Minute)
		wantResting(t, tr, 0)
		wantReason(t, tr, metrics.IdleTimeout, 1)
		shutdown(t, tr)

		tr = &Transport{Base: base}
		get(t, tr, pipeURL)
		time.Sleep(91 * time.Second)
		wantResting(t, tr, 0) // the default
		shutdown(t, tr)

		tr = &Transport{Base: base, IdleTimeout: -1}
		get(t, tr, pipeURL)
		time.Sleep(1000 * time.Hour)
		wantResting(t, tr, 1)
		shutdown(t, tr)
	})
}

func TestMaxAge(t *testing.T) {
	closing := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Close {
			io.WriteString(w, "closing")
		}
	})
	inBubble(t, closing, func(t *testing.T, base *http.Transport, l *pipeListener) {
		tr := &Transport{Base: base, MaxAge: time.Hour, IdleTimeout: -1}
		began := time.Now()
		for time.Since(began) < 47*time.Minute {
			if get(t, tr, pipeURL) == "closing" {
				t.Fatalf("goodbye after %v", time.Since(began))
			}
			time.Sleep(time.Minute)
		}
		for get(t, tr, pipeURL) != "closing" {
			time.Sleep(time.Minute)
		}
		if age := time.Since(began); age < 48*time.Minute || age > 60*time.Minute {
			t.Errorf("goodbye after %v, want 48 to 60 minutes", age)
		}
		synctest.Wait()
		wantReason(t, tr, metrics.MaxAge, 1)

		get(t, tr, pipeURL) // a new one, which nobody uses any more
		time.Sleep(61 * time.Minute)
		wantResting(t, tr, 0)
		wantReason(t, tr, metrics.MaxAge, 2)
		if n := l.dials.Load(); n != 2 {
			t.Errorf("%d dials, want 2", n)
		}
		shutdown(t, tr)
	})
}

func TestMaxRequests(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		tr := &Transport{Base: base, MaxRequests: 10}
		for range 300 {
			get(t, tr, pipeURL)
		}
		synctest.Wait()
		if n := l.dials.Load(); n < 31 || n > 37 {
			t.Errorf("%d dials for 300 requests, want one for each 8 to 10", n)
		}
		if s := tr.Stats(); s.Reasons[metrics.MaxRequests] < 30 || len(s.Reasons) > 1 {
			t.Errorf("reasons %v", s.Reasons)
		}
		shutdown(t, tr)
	})
}

func TestPingHTTP1(t *testing.T) {
	var pings, deaf atomic.Int32
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead && r.URL.Path == "/ping" {
			pings.Add(1)
			if deaf.Load() != 0 {
				<-r.Context().Done()
			}
		}
	})
	inBubble(t, h, func(t *testing.T, base *http.Transport, l *pipeListener) {
		tr := &Transport{Base: base, IdleTimeout: time.Hour,
			Ping: PingConfig{Interval: time.Minute, Timeout: 5 * time.Second, HTTP1: true, Path: "/ping"}}
		get(t, tr, pipeURL)
		time.Sleep(53*time.Minute + time.Second)
		wantResting(t, tr, 1)
		if n := pings.Load(); n < 53 || n > 66 {
			t.Errorf("%d pings in 53 minutes", n)
		}
		time.Sleep(7 * time.Minute)
		wantResting(t, tr, 0) // a ping is no use
		wantReason(t, tr, metrics.IdleTimeout, 1)

		deaf.Store(1)
		get(t, tr, pipeURL)
		time.Sleep(47 * time.Second)
		wantResting(t, tr, 1) // not pinged yet
		time.Sleep(19 * time.Second)
		wantResting(t, tr, 0)
		wantReason(t, tr, metrics.Timeout, 1)
		if s := tr.Stats(); s.Leases != 2 {
			t.Errorf("%d leases: pings count as requests", s.Leases)
		}
		shutdown(t, tr)
	})
}

// TestDrain: a body that is closed unread leaves the connection alive, if the
// rest comes soon and is not too long.
func TestDrain(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		switch r.URL.Path {
		case "/short":
			io.WriteString(w, "short")
		case "/late":
			time.Sleep(49 * time.Millisecond)
		case "/too/late":
			time.Sleep(51 * time.Millisecond)
		case "/long":
			for range 16 {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		}
	})
	inBubble(t, h, func(t *testing.T, base *http.Transport, l *pipeListener) {
		for _, tt := range []struct {
			path  string
			lives bool
		}{{"/", true}, {"/short", true}, {"/late", true}, {"/too/late", false}, {"/long", false}} {
			tr := &Transport{Base: base}
			ctx, cancel := context.WithCancel(t.Context())
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://in.memory"+tt.path, nil)
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if _, err := resp.Body.Read(make([]byte, 1)); err == nil {
				t.Error("a closed body can be read")
			}
			cancel() // as "defer cancel()" does
			time.Sleep(time.Second)
			want := int64(0)
			if tt.lives {
				want = 1
			}
			wantResting(t, tr, want)
			shutdown(t, tr)
		}
	})
}

// TestMaxConns: the limit holds, those who wait are served in their order, and
// those who give up leave no gap.
func TestMaxConns(t *testing.T) {
	var now, most atomic.Int32
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(time.Second)
	})
	inBubble(t, h, func(t *testing.T, base *http.Transport, l *pipeListener) {
		tr := &Transport{Base: base, MaxConnsPerHost: 2, MaxWaiters: 50}
		var wg sync.WaitGroup
		var mu sync.Mutex
		var order []int
		var gaveUp, busy atomic.Int32
		for i := range 60 {
			wg.Go(func() {
				ctx := t.Context()
				if i%10 == 7 {
					c, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
					defer cancel()
					ctx = c
				}
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, pipeURL, nil)
				resp, err := tr.RoundTrip(req)
				switch {
				case errors.Is(err, ErrBusy):
					busy.Add(1)
					return
				case errors.Is(err, context.DeadlineExceeded):
					gaveUp.Add(1)
					return
				case err != nil:
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				resp.Body.Close()
			})
			synctest.Wait() // one after the other into the queue
		}
		wg.Wait()
		if most.Load() != 2 || l.dials.Load() > 2 {
			t.Errorf("%d requests at once, %d dials; want 2 of each", most.Load(), l.dials.Load())
		}
		if busy.Load() != 8 || gaveUp.Load() != 5 {
			t.Errorf("%d were turned away, %d gave up; want 8, 5", busy.Load(), gaveUp.Load())
		}
		for k := 2; k+1 < len(order); k += 2 { // two at a time
			if order[k] < order[k-2] {
				t.Errorf("served out of order: %v", order)
				break
			}
		}
		shutdown(t, tr)
	})
}

// TestDialOutlivesRequest: a connection that was paid for joins the pool.
func TestDialOutlivesRequest(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		slow := base.Clone()
		slow.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(time.Second)
			return l.DialContext(ctx, network, addr)
		}
		tr := &Transport{Base: slow}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, pipeURL, nil)
		if _, err := tr.RoundTrip(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		time.Sleep(2 * time.Second)
		wantResting(t, tr, 1)
		get(t, tr, pipeURL)
		if n := l.dials.Load(); n != 1 {
			t.Errorf("%d dials, want 1", n)
		}
		shutdown(t, tr)
	})
}

// TestDialFails: everybody who waits for a dial hears of its failure, and nobody
// waits for one dial after the other.
func TestDialFails(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		errDial := errors.New("no route")
		base.DialContext = func(context.Context, string, string) (net.Conn, error) {
			time.Sleep(10 * time.Second)
			return nil, errDial
		}
		tr := &Transport{Base: base, MaxDialsPerHost: 3}
		began := time.Now()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, pipeURL, nil)
				if _, err := tr.RoundTrip(req); !errors.Is(err, errDial) {
					t.Errorf("got %v, want %v", err, errDial)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("the last of 100 heard after %v", took)
		}
		shutdown(t, tr)
	})
}

// TestShutdownWaits: for requests and their bodies, and lets no new ones in.
func TestShutdownWaits(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Minute)
		io.WriteString(w, "done")
	})
	inBubble(t, h, func(t *testing.T, base *http.Transport, l *pipeListener) {
		tr := &Transport{Base: base}
		var wg sync.WaitGroup
		wg.Go(func() {
			if got := get(t, tr, pipeURL); got != "done" {
				t.Errorf("the request under way got %q", got)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var se *ShutdownError
		if err := tr.Shutdown(ctx); !errors.As(err, &se) || se.Conns != 1 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown said %v", err)
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, pipeURL, nil)
		if _, err := tr.RoundTrip(req); !errors.Is(err, ErrClosed) {
			t.Errorf("after Shutdown: %v", err)
		}
		if err := tr.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}

func TestWarm(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		tr := &Transport{Base: base}
		if err := tr.Warm(t.Context(), pipeURL, 5); err != nil {
			t.Fatal(err)
		}
		wantResting(t, tr, 5)
		get(t, tr, pipeURL)
		if err := tr.Warm(t.Context(), pipeURL, 5); err != nil {
			t.Fatal(err)
		}
		if n := l.dials.Load(); n != 5 {
			t.Errorf("%d dials, want 5", n)
		}
		shutdown(t, tr)
	})
}

// TestPingHTTP2: resting HTTP/2 connections are sent PING.
func TestPingHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(http.Protocols)
		p.SetUnencryptedHTTP2(true)
		l := newPipeListener()
		srv := &http.Server{Handler: hello, Protocols: p, ErrorLog: quiet}
		var wg sync.WaitGroup
		wg.Go(func() { srv.Serve(l) })
		var pings atomic.Int32
		base := &http.Transport{Protocols: p}
		base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := l.DialContext(ctx, network, addr)
			return &pingCounter{c, &pings}, err
		}
		tr := &Transport{Base: base, IdleTimeout: -1, Ping: PingConfig{Interval: time.Minute}}
		get(t, tr, pipeURL)
		time.Sleep(10*time.Minute + time.Second)
		if n := pings.Load(); n < 9 || n > 13 {
			t.Errorf("%d pings in 10 minutes", n)
		}
		shutdown(t, tr)
		srv.Close()
		wg.Wait()
	})
}

// A pingCounter counts the PING frames that are written, each by itself.
type pingCounter struct {
	net.Conn
	pings *atomic.Int32
}

func (c *pingCounter) Write(b []byte) (int, error) {
	if len(b) == 17 && b[3] == 0x6 && b[4] == 0 {
		c.pings.Add(1)
	}
	return c.Conn.Write(b)
}
