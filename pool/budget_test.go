package pool

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b budget
		b.succeeded() // nothing is owed
		spent := func(want int) {
			t.Helper()
			n := 0
			for b.spend() {
				n++
			}
			if n != want {
				t.Errorf("%d tokens, want %d", n, want)
			}
		}
		spent(maxRetries)
		for range 5 {
			spent(0)
			b.succeeded()
		}
		spent(1)
		time.Sleep(3 * retryCost)
		spent(3)
		if d := b.debt(); d != maxRetries*retryCost {
			t.Errorf("the debt is paid in %v", d)
		}
		for range 5 * maxRetries {
			b.succeeded()
		}
		b.succeeded()
		if d := b.debt(); d != 0 {
			t.Errorf("all is paid, and the debt is %v", d)
		}
		spent(maxRetries)
		time.Sleep(2 * maxRetries * retryCost)
		spent(maxRetries) // tokens beyond that are not saved
		b.due.Add(int64(time.Hour))
		time.Sleep(maxRetries * retryCost) // the clock was set back by an hour
		if b.spend() {
			t.Error("an hour's debt is paid already")
		}
	})
}

// TestBudgetConcurrently: tokens are not spent twice.
func TestBudgetConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			b  budget
			n  atomic.Int32
			wg sync.WaitGroup
		)
		for range 2 * maxRetries {
			wg.Go(func() {
				if b.spend() {
					n.Add(1)
				}
			})
		}
		wg.Wait()
		if n.Load() != maxRetries {
			t.Errorf("%d tokens were spent, want %d", n.Load(), maxRetries)
		}
	})
}

// TestBudgetBoundsRefusals: a server that refuses everything for ever gets
// little more than what its clients ask of it, though each connection that it
// kills may be the last of its group.
func TestBudgetBoundsRefusals(t *testing.T) {
	for name, refuse := range map[string]func(s *rawHTTP2, stream uint32){
		"REFUSED_STREAM": func(s *rawHTTP2, id uint32) { s.reset(id, refusedStream) },
		"GOAWAY":         func(s *rawHTTP2, id uint32) { s.goAway(0, codeNo) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var arrived atomic.Int32
				l := newPipeListener()
				var wg sync.WaitGroup
				l.serveEach(&wg, func(c net.Conn) {
					s, err := newRawHTTP2(c)
					if err != nil {
						return
					}
					for id := s.request(); id != 0; id = s.request() {
						arrived.Add(1)
						refuse(s, id)
					}
				})
				tr := &Transport{Base: &http.Transport{Protocols: speaking("h2c"), DialContext: l.DialContext}}
				const requests = 500
				var all sync.WaitGroup
				began := time.Now()
				for range requests {
					all.Go(func() {
						resp, err := tr.RoundTrip(mustRequest(t, pipeURL))
						if err == nil {
							resp.Body.Close()
							t.Error("no error")
						} else if !strings.HasPrefix(err.Error(), "stream error: ") && !notSentHTTP2(err) && !refusedHTTP2(err) {
							t.Errorf("the error is %v", err)
						}
					})
				}
				all.Wait()
				took := time.Since(began)
				budget := maxRetries + int(took/retryCost) + 1
				retries := int(tr.Stats().Retries)
				if retries < maxRetries || retries > budget {
					t.Errorf("%d retries in %v, want %d to %d", retries, took, maxRetries, budget)
				}
				if n := int(arrived.Load()); n > requests+retries {
					t.Errorf("%d requests arrived for %d and %d retries", n, requests, retries)
				} else {
					t.Logf("%d requests arrived for %d, in %v", n, requests, took)
				}
				shutdown(t, tr)
				l.Close()
				wg.Wait()
			})
		})
	}
}

// TestBudgetInTheLongRun: where each reused connection dies, one request in
// five is sent again in the end, and the others get the original error.
func TestBudgetInTheLongRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		var wg sync.WaitGroup
		l.serveEach(&wg, func(c net.Conn) {
			http.Serve(&loneConn{c: c, done: make(chan struct{})}, dyingHandler(c))
		})
		tr := &Transport{Base: &http.Transport{DialContext: l.DialContext}}
		ask := func(n int) (failed int) {
			for range n {
				resp, err := tr.RoundTrip(mustRequest(t, pipeURL))
				switch {
				case err == nil:
					resp.Body.Close()
				case errors.Is(err, io.EOF):
					failed++
				default:
					t.Fatal(err)
				}
			}
			return failed
		}
		if n := ask(maxRetries); n != 0 {
			t.Errorf("%d requests failed while there was a budget", n)
		}
		ask(maxRetries) // which uses it up
		before := tr.Stats()
		failed := ask(5000)
		retries := int(tr.Stats().Retries - before.Retries)
		if succeeded := 5000 - failed; retries < succeeded/5-2 || retries > succeeded/5+2 {
			t.Errorf("%d retries for %d successes, want one for five", retries, succeeded)
		}
		t.Logf("of 5000 requests %d failed, %d were sent again", failed, retries)

		tr.CloseIdleConnections()
		synctest.Wait()
		if n := len(tr.allGroups()); n != 1 {
			t.Errorf("%d groups are known while the budget is owed, want 1", n)
		}
		time.Sleep(2 * maxRetries * retryCost)
		synctest.Wait()
		if n := len(tr.allGroups()); n != 0 {
			t.Errorf("%d groups are known when all is paid, want none", n)
		}
		shutdown(t, tr)
		l.Close()
		wg.Wait()
	})
}

// dyingHandler answers the first request on c, and closes c at the second.
func dyingHandler(c net.Conn) http.Handler {
	var n atomic.Int32
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) > 1 {
			panic(http.ErrAbortHandler)
		}
	})
}

// A loneConn listens for the one connection.
type loneConn struct {
	c    net.Conn
	once sync.Once
	done chan struct{}
}

func (l *loneConn) Accept() (c net.Conn, err error) {
	l.once.Do(func() { c = l.c })
	if c == nil {
		<-l.done
		return nil, net.ErrClosed
	}
	return &closeTeller{c, l.done, sync.Once{}}, nil
}

func (l *loneConn) Close() error   { return nil }
func (l *loneConn) Addr() net.Addr { return &net.TCPAddr{} }

// A closeTeller tells when it is closed.
type closeTeller struct {
	net.Conn
	done chan struct{}
	once sync.Once
}

func (c *closeTeller) Close() error {
	c.once.Do(func() { close(c.done) })
	return c.Conn.Close()
}

// TestRestartIsRiddenOut: a server that restarts under many requests loses none
// that may be sent again.
func TestRestartIsRiddenOut(t *testing.T) {
	const requests = 800
	var restarted atomic.Bool
	conns := newConnSet()
	var warm sync.WaitGroup // so that each has a connection of its own
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/warm":
			warm.Done()
			warm.Wait()
		case !restarted.Load():
			<-r.Context().Done()
		}
	})
	inBubble(t, h, func(t *testing.T, base *http.Transport, l *pipeListener) {
		base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := l.DialContext(ctx, network, addr)
			if err == nil && !restarted.Load() {
				conns.add(c)
			}
			return c, err
		}
		tr := &Transport{Base: base}
		warm.Add(requests)
		var wg sync.WaitGroup
		for range requests {
			wg.Go(func() { get(t, tr, pipeURL+"warm") })
		}
		wg.Wait()
		for range requests {
			wg.Go(func() { get(t, tr, pipeURL) })
		}
		synctest.Wait() // all are under way
		restarted.Store(true)
		for range requests {
			conns.closeOne()
		}
		wg.Wait()
		if s := tr.Stats(); s.Retries < requests {
			t.Errorf("%d retries for %d requests", s.Retries, requests)
		}
		shutdown(t, tr)
	})
}
