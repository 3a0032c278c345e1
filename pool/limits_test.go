package pool

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// TestMinConnsWithin: what may not rest, or is closed at once, is not dialled
// over and over to keep a minimum.
func TestMinConnsWithin(t *testing.T) {
	for name, tune := range map[string]func(*Transport){
		"MaxIdlePerHost":    func(tr *Transport) { tr.MaxIdlePerHost = 1 },
		"MaxIdleConns":      func(tr *Transport) { tr.Base.MaxIdleConns = 1 },
		"MaxConnsPerHost":   func(tr *Transport) { tr.MaxConnsPerHost = 1 },
		"DisableKeepAlives": func(tr *Transport) { tr.Base.DisableKeepAlives = true },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
				tr := &Transport{Base: base, MinConnsPerHost: 5}
				tune(tr)
				for _, u := range []string{pipeURL, "http://another.host/"} {
					get(t, tr, u)
				}
				time.Sleep(time.Minute)
				if n := l.dials.Load(); n > 4 {
					t.Errorf("%d dials", n)
				}
				shutdown(t, tr)
			})
		})
	}
	t.Run("hangs up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newPipeListener()
			var wg sync.WaitGroup
			l.serveEach(&wg, func(net.Conn) {})
			tr := &Transport{Base: &http.Transport{DialContext: l.DialContext}, MinConnsPerHost: 5}
			if _, err := tr.RoundTrip(mustRequest(t, pipeURL)); err == nil {
				t.Error("a server that hangs up answers")
			}
			time.Sleep(time.Hour)
			if n := l.dials.Load(); n > 5*600 {
				t.Errorf("%d dials in an hour to a server that hangs up at once", n)
			}
			tr.CloseIdleConnections()
			time.Sleep(clockMemory)
			if n := len(tr.allGroups()); n != 0 {
				t.Errorf("%d hosts are not forgotten", n)
			}
			shutdown(t, tr)
			l.Close()
			wg.Wait()
		})
	})
}

// TestHungDials: dials that hang, and that no request waits for any more, keep
// nobody out, whatever limit they use up.
func TestHungDials(t *testing.T) {
	for name, tr := range map[string]*Transport{
		"MaxDialsPerHost": {},
		"MaxConnsPerHost": {MaxConnsPerHost: 2},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
				var well atomic.Bool
				hang := base.Clone()
				hang.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					if !well.Load() {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					return l.DialContext(ctx, network, addr)
				}
				tr := &Transport{Base: hang, MaxConnsPerHost: tr.MaxConnsPerHost}
				var wg sync.WaitGroup
				for range 70 {
					wg.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
						defer cancel()
						req, _ := http.NewRequestWithContext(ctx, http.MethodGet, pipeURL, nil)
						if _, err := tr.RoundTrip(req); !errors.Is(err, context.DeadlineExceeded) {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				well.Store(true)
				began := time.Now()
				get(t, tr, pipeURL)
				if d := time.Since(began); d > hungAfter {
					t.Errorf("a request took %v when the host was well again", d)
				}
				shutdown(t, tr)
			})
		})
	}
}

// TestWarmWithinLimits: calls of Warm beside one another and beside requests
// keep to the limits, and end.
func TestWarmWithinLimits(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		var dialing, most atomic.Int64
		slow := base.Clone()
		slow.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			raise(&most, dialing.Add(1))
			defer dialing.Add(-1)
			time.Sleep(50 * time.Millisecond)
			return l.DialContext(ctx, network, addr)
		}
		tr := &Transport{Base: slow, MaxConnsPerHost: 10, MaxDialsPerHost: 3}
		var calls errgroup.Group
		for range 4 {
			calls.Go(func() error { return tr.Warm(t.Context(), pipeURL, 10) })
			calls.Go(func() error {
				get(t, tr, pipeURL)
				return nil
			})
		}
		if err := calls.Wait(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if s := tr.Stats(); s.Born > 10 || most.Load() > 3 {
			t.Errorf("%d connections, %d dials at a time; want 10, 3", s.Born, most.Load())
		}
		shutdown(t, tr)

		never := &Transport{Base: base, MaxIdlePerHost: -1}
		if err := never.Warm(t.Context(), pipeURL, 1); err == nil {
			t.Error("Warm succeeds where nothing may rest")
		}
		shutdown(t, never)
	})
}

// TestDialFailsForItsOwn: one dial that fails is no reason to fail those who
// wait for a connection that lives.
func TestDialFailsForItsOwn(t *testing.T) {
	h := &holding{}
	inBubble(t, h, func(t *testing.T, base *http.Transport, l *pipeListener) {
		h.gate = make(chan struct{})
		var dials atomic.Int32
		flaky := base.Clone()
		flaky.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials.Add(1) == 2 {
				time.Sleep(time.Second)
				return nil, syscall.ECONNRESET
			}
			return l.DialContext(ctx, network, addr)
		}
		tr := &Transport{Base: flaky, MaxConnsPerHost: 2}
		var wg sync.WaitGroup
		var failed atomic.Int32
		for range 100 {
			wg.Go(func() {
				resp, err := tr.RoundTrip(mustRequest(t, pipeURL))
				if err != nil {
					failed.Add(1)
					return
				}
				resp.Body.Close()
			})
		}
		time.Sleep(2 * time.Second)
		close(h.gate)
		wg.Wait()
		if n := failed.Load(); n != 1 {
			t.Errorf("%d of 100 requests failed with the one dial", n)
		}
		shutdown(t, tr)
	})
}

// TestWaitSaysWhy: a request whose time ends while dials fail says so.
func TestWaitSaysWhy(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		down := base.Clone()
		down.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
		tr := &Transport{Base: down}
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, pipeURL, nil)
			_, err := (&http.Client{Transport: tr}).Do(req)
			if !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%v does not say that the host is down", err)
			}
			if ctx.Err() != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v does not say that its time has ended", err)
			}
			cancel()
		}
		shutdown(t, tr)
	})
}

// TestHTTP2HundredStreams: a server whose limit is the one that is assumed
// before it is known gets all its streams, also before its first response.
func TestHTTP2HundredStreams(t *testing.T) {
	var in sync.WaitGroup
	in.Add(20)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { in.Done(); in.Wait() })
	srv, base := newTunedServer(t, "h2c", h, func(s *http.Server) {
		s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: guessedStreams}
	})
	tr := &Transport{Base: base, MaxConnsPerHost: 1}
	var wg sync.WaitGroup
	for range 20 { // each waits for all
		wg.Go(func() { get(t, tr, srv.URL) })
	}
	wg.Wait()
	shutdown(t, tr)
}

// TestRetiredDoNotCrowd: a connection that is only watched takes no place among
// those that may rest.
func TestRetiredDoNotCrowd(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Keep-Alive", "timeout=60")
		io.WriteString(w, "hello")
	})
	inBubble(t, h, func(t *testing.T, base *http.Transport, l *pipeListener) {
		tr := &Transport{Base: base, MaxIdlePerHost: 1}
		get(t, tr, pipeURL)
		time.Sleep(59 * time.Second)
		for range 50 {
			get(t, tr, pipeURL)
			time.Sleep(100 * time.Millisecond)
		}
		if n := l.dials.Load(); n != 2 {
			t.Errorf("%d dials, want 2", n)
		}
		shutdown(t, tr)
	})
}

// TestPassed: a time has come when either clock says so.
func TestPassed(t *testing.T) {
	now := time.Now()
	back := now.Round(0).Add(-time.Hour) // the wall clock alone
	for _, tt := range []struct {
		name    string
		at, now time.Time
		want    bool
	}{
		{"zero", time.Time{}, now, false},
		{"later", now.Add(time.Second), now, false},
		{"now", now, now, true},
		{"asleep", now.Add(time.Minute), now.Round(0).Add(time.Hour), true},
		{"wall clock only, before", back.Add(time.Second), back, false},
	} {
		if got := passed(tt.at, tt.now); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// TestStrictHTTP2: with StrictMaxConcurrentRequests requests wait for a stream
// of the one connection.
func TestStrictHTTP2(t *testing.T) {
	work := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-time.After(time.Millisecond) })
	srv, base := newTunedServer(t, "h2c", work, func(s *http.Server) {
		s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 5}
	})
	base.HTTP2 = &http.HTTP2Config{StrictMaxConcurrentRequests: true}
	tr := &Transport{Base: base}
	for range 3 {
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() { get(t, tr, srv.URL) })
		}
		wg.Wait()
	}
	if n := tr.Stats().Dials; n != 1 {
		t.Errorf("%d dials, want 1", n)
	}
	shutdown(t, tr)
}
