package pool

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"path"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/metrics"
)

// watchful makes tr watch bodies as soon as they are open.
func watchful(tr *Transport) *Transport {
	tr.init()
	tr.cfg.youth = time.Microsecond
	return tr
}

// allWatched waits until no body of tr is young.
func allWatched(t *testing.T, tr *Transport) {
	t.Helper()
	netlab.Eventually(t, 10*time.Second, "all bodies are watched", func() bool {
		for _, g := range tr.allGroups() {
			g.bodies.mu.Lock()
			young := g.bodies.first != nil
			g.bodies.mu.Unlock()
			if young {
				return false
			}
		}
		return true
	})
}

// cycles is how many garbage collections find every body that is watched and
// was forgotten. One does, but what a stack or a pool held before may need more.
const cycles = 5

// wantLeaks collects garbage until n leaks have been found in all.
func wantLeaks(t *testing.T, tr *Transport, n uint64) {
	t.Helper()
	allWatched(t, tr)
	wait := time.Second
	if n == 0 {
		wait = 20 * time.Millisecond // for what must not come
	}
	for range cycles {
		runtime.GC()
		for deadline := time.Now().Add(wait); time.Now().Before(deadline); runtime.Gosched() {
			if n > 0 && tr.Stats().Leaks >= n {
				break
			}
		}
	}
	if got := tr.Stats().Leaks; got != n {
		t.Fatalf("%d leaks are found, want %d", got, n)
	}
}

// forget sends a request and forgets the response.
func forget(t *testing.T, do func(*http.Request) (*http.Response, error), req *http.Request) {
	t.Helper()
	if _, err := do(req); err != nil {
		t.Error(err)
	}
}

// TestLeaks: bodies that are forgotten are found and closed, whichever way the
// response has come.
func TestLeaks(t *testing.T) {
	type send func(*http.Request) (*http.Response, error)
	ways := map[string]func(*Transport) send{
		"RoundTrip": func(tr *Transport) send { return tr.RoundTrip },
		"Client":    func(tr *Transport) send { return (&http.Client{Transport: tr}).Do },
		"Timeout":   func(tr *Transport) send { return (&http.Client{Transport: tr, Timeout: 2 * time.Second}).Do },
		"Cancel": func(tr *Transport) send {
			return func(req *http.Request) (*http.Response, error) {
				req = req.WithContext(context.Background())
				req.Cancel = make(chan struct{})
				return tr.RoundTrip(req)
			}
		},
	}
	for _, proto := range protos {
		for name, way := range ways {
			t.Run(proto+"/"+name, func(t *testing.T) {
				if name == "Timeout" && (proto == "https" || proto == "h2c") {
					t.Skip("http.Client's goroutines last as long as its Timeout")
				}
				srv, base := newServer(t, proto, hello)
				var r record
				tr := watchful(&Transport{Base: base, Events: r.add})
				get(t, tr, srv.URL)
				check := netlab.Leaks(t)
				do := way(tr)
				const n = 10
				for range n {
					forget(t, do, mustRequest(t, srv.URL))
				}
				wantLeaks(t, tr, n)
				netlab.Eventually(t, 10*time.Second, "the connections rest", func() bool { return tr.Stats().Busy == 0 })
				if s := tr.Stats(); s.Reasons[metrics.Leak] != 0 {
					t.Errorf("connections are lost to bodies of five bytes: %v", s)
				}
				told := 0
				netlab.Eventually(t, 10*time.Second, "events", func() bool {
					told = 0
					for _, e := range r.all() {
						if e.Kind == Leaked && e.Took > 0 && e.Conn > 0 {
							told++
						}
					}
					return told >= n
				})
				if told != n {
					t.Errorf("%d events, want %d", told, n)
				}
				shutdown(t, tr)
				srv.Close()
				check()
			})
		}
	}
}

// TestLeakUnblocks: a body that was forgotten with much of it to come, and that
// has the only connection, costs that connection and no more.
func TestLeakUnblocks(t *testing.T) {
	for _, proto := range []string{"http", "https"} {
		t.Run(proto, func(t *testing.T) {
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/stuck" {
					stuck(w, r)
				}
			})
			srv, base := newServer(t, proto, h)
			tr := watchful(&Transport{Base: base, MaxConnsPerHost: 1})
			defer shutdown(t, tr)
			forget(t, tr.RoundTrip, mustRequest(t, srv.URL+"/stuck"))
			served := make(chan struct{})
			go func() {
				get(t, tr, srv.URL)
				close(served)
			}()
			netlab.Eventually(t, 10*time.Second, "the request waits", func() bool { return tr.Stats().Waits == 2 })
			wantLeaks(t, tr, 1)
			select {
			case <-served:
			case <-time.After(10 * time.Second):
				t.Fatal("the request still waits")
			}
			netlab.Eventually(t, 10*time.Second, "the reason", func() bool { return tr.Stats().Reasons[metrics.Leak] == 1 })
		})
	}
}

// TestKeptBodies: whoever holds the body, or the response, or reads it, has not
// forgotten it.
func TestKeptBodies(t *testing.T) {
	const size = 1 << 20
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			release := make(chan bool)
			srv, base := newServer(t, proto, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Write([]byte("x"))
				w.(http.Flusher).Flush()
				<-release
				w.Write(make([]byte, size-1))
			}))
			tr := watchful(&Transport{Base: base})
			defer shutdown(t, tr)
			response := func() *http.Response {
				resp, err := (&http.Client{Transport: tr}).Do(mustRequest(t, srv.URL))
				if err != nil {
					t.Fatal(err)
				}
				return resp
			}
			read := make(chan int64, 3)
			count := func(r io.Reader) {
				n, err := io.Copy(io.Discard, r)
				if err != nil {
					t.Error(err)
				}
				read <- n
			}
			go func() { count(response().Body) }() // nobody but the Read that waits has it
			kept, body := response(), response().Body
			allWatched(t, tr)
			for range 20 {
				runtime.GC()
			}
			close(release)
			count(kept.Body)
			count(body)
			for range cap(read) {
				if n := <-read; n != size {
					t.Errorf("%d bytes are read, want %d", n, size)
				}
			}
			if n := tr.Stats().Leaks; n != 0 {
				t.Errorf("%d leaks, want none", n)
			}
		})
	}
}

// TestNoBodies: responses without a body need not be closed.
func TestNoBodies(t *testing.T) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			srv, base := newServer(t, proto, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/empty":
					w.Header().Set("Content-Length", "0")
				case "/none":
					w.WriteHeader(http.StatusNoContent)
				default:
					io.WriteString(w, "hello")
				}
			}))
			tr := watchful(&Transport{Base: base})
			defer shutdown(t, tr)
			forget(t, tr.RoundTrip, mustRequest(t, srv.URL+"/empty"))
			forget(t, tr.RoundTrip, mustRequest(t, srv.URL+"/none"))
			head := mustRequest(t, srv.URL)
			head.Method = http.MethodHead
			forget(t, tr.RoundTrip, head)
			wantLeaks(t, tr, 0)
		})
	}
}

// TestLeakIsLoggedOnce for each line of the program.
func TestLeakIsLoggedOnce(t *testing.T) {
	for _, proto := range []string{"http", "h2"} {
		t.Run(proto, func(t *testing.T) {
			srv, base := newServer(t, proto, hello)
			var r record
			var logged bytes.Buffer
			tr := watchful(&Transport{Base: base, Events: r.add, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
			client := &http.Client{Transport: tr}
			const n = 5
			for i := range uint64(n) {
				client.Get(srv.URL) // the line that leaks
				wantLeaks(t, tr, i+1)
			}
			var sites []string
			netlab.Eventually(t, 10*time.Second, "events", func() bool {
				sites = nil
				for _, e := range r.all() {
					if e.Kind == Leaked {
						sites = append(sites, e.Site)
					}
				}
				return len(sites) == n
			})
			for _, site := range sites {
				if site != sites[0] || !strings.Contains(site, "leak_test.go:") {
					t.Errorf("sites %q, want one line of this file", sites)
				}
			}
			line := path.Base(sites[0])
			if at := tr.Stats().LeakedAt; len(at) != 1 || at[0].Leak != n || !strings.HasPrefix(at[0].Site, line+" ") || !strings.Contains(at[0].Site, "pool.TestLeakIsLoggedOnce") {
				t.Errorf("the accounts have %v, want %d at %s", at, n, line)
			}
			shutdown(t, tr)
			if got := strings.Count(logged.String(), "never closed"); got != 1 {
				t.Errorf("logged %d times, want once:\n%s", got, logged.String())
			}
		})
	}
}

// TestProfile: the profile shows where open bodies come from, and nothing else.
func TestProfile(t *testing.T) {
	srv, base := newServer(t, "http", hello)
	tr := watchful(&Transport{Base: base, LongBody: time.Hour}) // so that all are noted
	shows := func() bool {
		var b bytes.Buffer
		if err := pprof.Lookup("lastack.pool.bodies").WriteTo(&b, 1); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(b.String(), "pool.TestProfile")
	}
	for name, end := range map[string]func(*http.Response){
		"read":   func(r *http.Response) { io.Copy(io.Discard, r.Body) },
		"closed": func(r *http.Response) { r.Body.Close() },
	} {
		kept, err := (&http.Client{Transport: tr}).Do(mustRequest(t, srv.URL))
		if err != nil {
			t.Fatal(err)
		}
		if !shows() {
			t.Error("the profile does not show a body that is open")
		}
		end(kept)
		if shows() {
			t.Errorf("the profile shows a body that was %s", name)
		}
	}
	forget(t, tr.RoundTrip, mustRequest(t, srv.URL))
	if !shows() {
		t.Error("the profile does not show a body that was just forgotten")
	}
	wantLeaks(t, tr, 1)
	if shows() {
		t.Error("the profile shows a body that was found")
	}
	shutdown(t, tr)
}

// TestLeakedUpgrade: a connection that was upgraded and forgotten is closed.
func TestLeakedUpgrade(t *testing.T) {
	for _, proto := range []string{"http", "https"} {
		t.Run(proto, func(t *testing.T) {
			ended := make(chan error, 1)
			srv, base := newServer(t, proto, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c, rw, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
				_, err = io.Copy(c, rw)
				ended <- err
			}))
			tr := watchful(&Transport{Base: base})
			req := mustRequest(t, srv.URL)
			req.Header.Set("Connection", "Upgrade")
			req.Header.Set("Upgrade", "echo")
			func() {
				resp, err := tr.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				allWatched(t, tr)
				rwc := resp.Body.(io.ReadWriteCloser)
				for range cycles {
					runtime.GC()
				}
				io.WriteString(rwc, "hello")
				buf := make([]byte, 5)
				if _, err := io.ReadFull(rwc, buf); err != nil || string(buf) != "hello" {
					t.Errorf("got %q, %v", buf, err)
				}
			}()
			wantLeaks(t, tr, 1)
			select {
			case <-ended:
			case <-time.After(10 * time.Second):
				t.Error("the server still has the connection")
			}
			shutdownQuietly(t, tr)
		})
	}
}

// TestTrailers that no header has announced come with the end of the body.
func TestTrailers(t *testing.T) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			srv, base := newServer(t, proto, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, "hello")
				w.(http.Flusher).Flush()
				w.Header().Set(http.TrailerPrefix+"Sum", "5")
			}))
			tr := &Transport{Base: base}
			defer shutdown(t, tr)
			resp, err := tr.RoundTrip(mustRequest(t, srv.URL))
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			if got := resp.Trailer.Get("Sum"); got != "5" {
				t.Errorf("trailer %q, want 5", got)
			}
			resp.Body.Close()
		})
	}
}
