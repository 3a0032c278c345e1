package metricstest

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/pool"
)

// A trial is a test that may fail without any harm.
type trial struct {
	testing.TB
	cleanups []func()
	failures []string
}

func (t *trial) Helper()          {}
func (t *trial) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }
func (t *trial) Error(args ...any) {
	t.failures = append(t.failures, fmt.Sprint(args...))
}
func (t *trial) Errorf(format string, args ...any) {
	t.failures = append(t.failures, fmt.Sprintf(format, args...))
}

// try runs f as a test and returns what it was failed with.
func try(t *testing.T, f func(t testing.TB)) string {
	t.Helper()
	tt := &trial{TB: t}
	f(tt)
	for len(tt.cleanups) > 0 {
		last := len(tt.cleanups) - 1
		c := tt.cleanups[last]
		tt.cleanups = tt.cleanups[:last]
		c()
	}
	return strings.Join(tt.failures, "\n")
}

// impatient makes what a test waits for in vain take no time.
func impatient(t *testing.T) {
	g, r, m := goodbyes, rests, moment
	goodbyes, rests, moment = 200*time.Millisecond, 100*time.Millisecond, 50*time.Millisecond
	t.Cleanup(func() { goodbyes, rests, moment = g, r, m })
}

func serve(t testing.TB) *httptest.Server {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }))
	t.Cleanup(srv.Close)
	return srv
}

func get(t testing.TB, rt http.RoundTripper, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func read(resp *http.Response) {
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

// plain is a pool that leaves a TIME_WAIT behind every connection that it closes.
func plain() *pool.Transport {
	return &pool.Transport{Dialer: &dialer.Dialer{Linger: &linger.Closer{Policy: linger.Policy{Wait: -1, Fallback: linger.Plain}}}}
}

func want(t *testing.T, got string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(got, w) {
			t.Errorf("%q does not say %q", got, w)
		}
	}
}

func TestNoTimeWait(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere a pool that closes first leaves a TIME_WAIT")
	}
	srv := serve(t)
	tr := new(pool.Transport)
	if got := try(t, func(t testing.TB) {
		NoTimeWait(t, tr)
		NoLeaks(t, tr)
		for range 5 {
			read(get(t, tr, srv.URL))
		}
	}); got != "" {
		t.Error(got)
	}
	if s := tr.Stats(); s.Resting != 0 || s.Born != 1 {
		t.Errorf("what rested was not closed: %v", s)
	}
}

func TestTimeWaitIsFound(t *testing.T) {
	srv := serve(t)
	tr := plain()
	got := try(t, func(t testing.TB) {
		NoTimeWait(t, tr)
		read(get(t, tr, srv.URL))
	})
	host := srv.Listener.Addr().String()
	want(t, got, host+": 1 TIME_WAITs", "left for: close_idle 1", "they ended: local_first 1", "to "+host+": left for close_idle, ended local_first", "1 requests")
	// The next test of the same pool is not failed for that.
	if got := try(t, func(t testing.TB) { NoTimeWait(t, tr) }); got != "" {
		t.Errorf("nothing happened: %q", got)
	}
}

// What a bare Dialer's connections leave is found by its Meter.
func TestTimeWaitOfDialer(t *testing.T) {
	srv := serve(t)
	d := &dialer.Dialer{Meter: new(metrics.Meter), Linger: &linger.Closer{Policy: linger.Policy{Wait: -1, Fallback: linger.Plain}}}
	got := try(t, func(t testing.TB) {
		NoTimeWait(t, d.Meter)
		c, err := d.DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	})
	want(t, got, "1 TIME_WAITs", "closed 1", "local_first")
}

func TestUnmanagedIsFound(t *testing.T) {
	srv := serve(t)
	tr := &pool.Transport{Base: &http.Transport{Dial: func(network, addr string) (net.Conn, error) {
		c, err := net.Dial(network, addr)
		return struct{ net.Conn }{c}, err
	}}}
	got := try(t, func(t testing.TB) {
		NoTimeWait(t, tr)
		read(get(t, tr, srv.URL))
	})
	want(t, got, "nobody sees how 1 connections end")
}

// Whatever the accounts say, the kernel is asked as well.
func TestKernelIsAsked(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the kernel does not tell")
	}
	m := new(metrics.Meter)
	srv := serve(t)
	got := try(t, func(t testing.TB) {
		NoTimeWait(t, m)
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		life := m.Host("h").Born(true)
		life.SetAddrs(c.LocalAddr(), c.RemoteAddr())
		c.Close()
		srv.Close()
		life.Ended(linger.FinReset, false) // which is not so
	})
	want(t, got, "kernel does not agree")
}

func TestGoodbyesAreAwaited(t *testing.T) {
	impatient(t)
	m := new(metrics.Meter)
	got := try(t, func(t testing.TB) {
		NoTimeWait(t, m)
		m.Host("h").Born(true).Leave(metrics.MaxAge)
	})
	want(t, got, "1 connections have not ended")
}

func TestLeaksAreFound(t *testing.T) {
	impatient(t)
	m := new(metrics.Meter)
	h := m.Host("h")
	h.Leak("old.go:1 app.old")
	h.Held("old.go:2 app.older")
	busy := h.Born(true)
	if got := try(t, func(t testing.TB) { NoLeaks(t, m) }); got != "" {
		t.Errorf("what was before the test: %q", got)
	}
	got := try(t, func(t testing.TB) {
		NoLeaks(t, m)
		h.Leak("get.go:7 app.get")
		h.Held("list.go:9 app.list")
		h.Born(true)
	})
	want(t, got, "h: 1 response bodies were never closed", "get.go:7 app.get", "1 response bodies were open for too long", "list.go:9 app.list", "1 connections are still busy")
	if strings.Contains(got, "old") {
		t.Errorf("%q names sites of before", got)
	}
	busy.Ended(linger.PeerFirst, false)
}

func TestOpenBodyIsFound(t *testing.T) {
	impatient(t)
	srv := serve(t)
	tr := new(pool.Transport)
	var open *http.Response
	got := try(t, func(t testing.TB) {
		NoLeaks(t, tr)
		open = get(t, tr, srv.URL)
	})
	want(t, got, srv.Listener.Addr().String()+": 1 connections are still busy")
	read(open)
	tr.CloseIdleConnections()
}

func TestCloseWaitIsFound(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the kernel does not tell")
	}
	impatient(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := &dialer.Dialer{Meter: new(metrics.Meter)}
	var c net.Conn
	got := try(t, func(t testing.TB) {
		NoLeaks(t, d.Meter)
		if c, err = d.DialContext(t.Context(), "tcp", l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		peer, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		peer.Close()
		c.Read(make([]byte, 1)) // the FIN has come
	})
	want(t, got, "in CLOSE_WAIT", c.LocalAddr().String())
	c.Close()
}

func TestReportTimeWaits(t *testing.T) {
	srv := serve(t)
	benchtime := flag.Lookup("test.benchtime")
	was := benchtime.Value.String()
	defer benchtime.Value.Set(was)
	benchtime.Value.Set("10x")
	bench := func(tr *pool.Transport, perRequest bool) map[string]float64 {
		r := testing.Benchmark(func(b *testing.B) {
			ReportTimeWaits(b, tr)
			for b.Loop() {
				read(get(b, tr, srv.URL))
				if perRequest {
					tr.CloseIdleConnections()
				}
			}
		})
		return r.Extra
	}
	if got := bench(plain(), true); got["timewaits/op"] != 1 || got["dials/op"] != 1 {
		t.Errorf("a connection for each request: %v", got)
	}
	if got := bench(plain(), false); got["timewaits/op"] != 0.1 || got["dials/op"] != 0.1 {
		t.Errorf("one for all ten: %v", got)
	}
}
