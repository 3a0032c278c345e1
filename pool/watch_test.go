package pool

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestLongBody: a body that is open for longer than LongBody is reported, once.
func TestLongBody(t *testing.T) {
	for _, proto := range []string{"http", "h2c"} {
		t.Run(proto, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testLongBody(t, proto) })
		})
	}
}

func testLongBody(t *testing.T, proto string) {
	l := newPipeListener()
	srv := &http.Server{Handler: hello, ErrorLog: quiet, Protocols: speaking(proto)}
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(l) })
	var r record
	var logged bytes.Buffer
	tr := &Transport{
		Base:     &http.Transport{DialContext: l.DialContext, Protocols: speaking(proto)},
		LongBody: time.Minute,
		Events:   r.add,
		Logger:   slog.New(slog.NewTextHandler(&logged, nil)),
	}
	held := func() (all []Event) {
		for _, e := range r.all() {
			if e.Kind == Held {
				all = append(all, e)
			}
		}
		return all
	}
	open := func() *http.Response {
		resp, err := (&http.Client{Transport: tr}).Do(mustRequest(t, pipeURL))
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	read, closed := open(), open()
	open1, open2 := open(), open()
	time.Sleep(59 * time.Second)
	io.Copy(io.Discard, read.Body)
	closed.Body.Close()
	if got := held(); len(got) != 0 {
		t.Errorf("after 59 s %v are reported", got)
	}
	time.Sleep(2 * time.Second)
	got := held()
	if len(got) != 2 {
		t.Fatalf("after 61 s %v are reported, want two", got)
	}
	for _, e := range got {
		if e.Took < time.Minute || e.Took > 62*time.Second || !strings.Contains(e.Site, "watch_test.go:") || e.Conn == 0 || e.HTTP2 != (proto == "h2c") {
			t.Errorf("reported as %+v", e)
		}
	}
	time.Sleep(24 * time.Hour)
	if n := len(held()); n != 2 {
		t.Errorf("after a day %d are reported", n)
	}
	if at := tr.Stats().LeakedAt; len(at) == 0 || at[0].Held == 0 || !strings.HasPrefix(at[0].Site, "watch_test.go:") {
		t.Errorf("the accounts have %v, want this file", at)
	}
	if s := tr.Stats(); s.HeldBodies != 2 || s.Leaks != 0 || !strings.Contains(s.String(), "2 open for too long") {
		t.Errorf("counted as %v", s)
	}
	if n := strings.Count(logged.String(), "open for long"); n != 1 {
		t.Errorf("logged %d times, want once for the line:\n%s", n, logged.String())
	}
	open1.Body.Close()
	open2.Body.Close()
	shutdown(t, tr)
	srv.Close()
	wg.Wait()
}

// TestShortLongBody: LongBody may be shorter than a body's youth.
func TestShortLongBody(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		tr := &Transport{Base: base, LongBody: 10 * time.Millisecond}
		resp, err := tr.RoundTrip(mustRequest(t, pipeURL))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		if n := tr.Stats().HeldBodies; n != 1 {
			t.Errorf("%d are reported, want one", n)
		}
		resp.Body.Close()
		shutdown(t, tr)
	})
}

// TestForgottenInBubble: a cleanup is called outside of a bubble, where the
// bubble's channels must not be used. So what is forgotten there stays open.
func TestForgottenInBubble(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		tr := &Transport{Base: base}
		forget(t, tr.RoundTrip, mustRequest(t, pipeURL))
		time.Sleep(time.Minute)
		for range cycles {
			runtime.GC()
		}
		if n := tr.Stats().Leaks; n != 0 {
			t.Errorf("%d leaks are found", n)
		}
		for _, g := range tr.allGroups() {
			g.mu.Lock()
			for c := range g.live {
				defer c.cc.Close()
			}
			g.mu.Unlock()
		}
	})
}

// BenchmarkBody is what watching a body costs a request: as it is by default,
// with LongBody, and for a body that is watched at last.
func BenchmarkBody(b *testing.B) {
	for name, tr := range map[string]*Transport{
		"default":  {},
		"LongBody": {LongBody: time.Hour},
	} {
		b.Run(name, func(b *testing.B) { benchmarkBody(b, tr, func(*bodies) {}) })
	}
	tr := &Transport{}
	tr.init()
	tr.cfg.youth = 0
	b.Run("old", func(b *testing.B) {
		benchmarkBody(b, tr, func(o *bodies) { o.watchNext(sinceStart()) })
	})
}

func benchmarkBody(b *testing.B, tr *Transport, meanwhile func(*bodies)) {
	if err := tr.init(); err != nil {
		b.Fatal(err)
	}
	l := lease{c: &conn{g: newGroup(tr, Key{Scheme: "http", Address: "in.memory:80"}, nil)}}
	resp := &http.Response{Body: io.NopCloser(strings.NewReader(""))}
	b.ReportAllocs()
	for b.Loop() {
		h := l.hand(resp)
		meanwhile(l.c.g.bodies)
		h.Body.Close()
	}
}

// A wrapped transport is somebody's middleware.
type wrapped struct{ http.RoundTripper }

func (w wrapped) RoundTrip(req *http.Request) (*http.Response, error) {
	return w.RoundTripper.RoundTrip(req)
}

// TestSite: the site is the line that called http.Client, whatever is between
// that and the pool, or who called that line.
func TestSite(t *testing.T) {
	srv, base := newServer(t, "http", hello)
	tr := &Transport{Base: base, LongBody: time.Hour}
	defer shutdown(t, tr)
	above := func() string {
		_, file, line, _ := runtime.Caller(1)
		return file + ":" + strconv.Itoa(line-1)
	}
	want := func(resp *http.Response, err error, line string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got := resp.Body.(*handle).trace.site(); got != line {
			t.Errorf("site %s, want %s", got, line)
		}
	}
	client := &http.Client{Transport: wrapped{wrapped{tr}}}
	resp, err := client.Get(srv.URL)
	at := above()
	want(resp, err, at)
	resp, err = tr.RoundTrip(mustRequest(t, srv.URL))
	at = above()
	want(resp, err, at)
	http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		resp, err = tr.RoundTrip(mustRequest(t, srv.URL))
		at = above()
	}).ServeHTTP(nil, nil)
	want(resp, err, at)
	http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		resp, err = client.Get(srv.URL)
		at = above()
	}).ServeHTTP(nil, nil)
	want(resp, err, at)
	if got := (*trace)(nil).site(); got != "" {
		t.Errorf("the site of no trace is %q", got)
	}
}

// TestSample: the origin of one response in some is noted, and of the first on each connection.
func TestSample(t *testing.T) {
	srv, base := newServer(t, "http", hello)
	tr := &Transport{Base: base}
	defer shutdown(t, tr)
	noted := 0
	const n = 20 * traceEvery
	for i := range n {
		resp, err := tr.RoundTrip(mustRequest(t, srv.URL))
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.(*handle).trace != nil {
			noted++
		} else if i == 0 {
			t.Error("the first on a connection is not noted")
		}
		io.Copy(io.Discard, resp.Body)
	}
	if noted < 2 || noted > n/4 {
		t.Errorf("%d of %d are noted, want about %d", noted, n, n/traceEvery)
	}
}
