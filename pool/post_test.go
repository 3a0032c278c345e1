package pool

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestPostOnce: a server that closes resting connections at random moments gets
// 100,000 POSTs. None is carried out twice, and none is lost without an error.
func TestPostOnce(t *testing.T) {
	posts := 100_000
	if testing.Short() {
		posts = 10_000
	}
	seen := make([]atomic.Int32, posts)
	resting := newConnSet()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		id, err := strconv.Atoi(r.Header.Get("X-Id"))
		if err != nil {
			t.Error(err)
			return
		}
		seen[id].Add(1)
	}))
	srv.Config.ConnState = func(c net.Conn, s http.ConnState) {
		if s == http.StateIdle {
			resting.add(c)
		} else {
			resting.remove(c)
		}
	}
	srv.Start()
	defer srv.Close()

	ctx, stop := context.WithCancel(t.Context())
	var closer sync.WaitGroup
	closer.Go(func() {
		for ctx.Err() == nil {
			resting.closeOne()
			select {
			case <-time.After(time.Duration(rand.IntN(1000)) * time.Microsecond):
			case <-ctx.Done():
			}
		}
	})

	tr := &Transport{}
	var next, failed atomic.Int64
	failures := make([]atomic.Bool, posts)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				id := int(next.Add(1)) - 1
				if id >= posts {
					return
				}
				// With a body that can be had again, and without one.
				var body io.Reader = strings.NewReader("body")
				if id%2 == 0 {
					body = io.MultiReader(body)
				}
				req, _ := http.NewRequest(http.MethodPost, srv.URL, body)
				req.Header.Set("X-Id", strconv.Itoa(id))
				resp, err := tr.RoundTrip(req)
				if err != nil {
					failures[id].Store(true)
					failed.Add(1)
					continue
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
	stop()
	closer.Wait()
	for id := range seen {
		switch n := seen[id].Load(); {
		case n > 1:
			t.Errorf("POST %d was carried out %d times", id, n)
		case n == 0 && !failures[id].Load():
			t.Errorf("POST %d was lost without an error", id)
		}
	}
	shutdown(t, tr)
	s := tr.Stats()
	t.Logf("%d POSTs, %d errors, %d connections, %d retries, reasons %v", posts, failed.Load(), s.Born, s.Retries, s.Reasons)
	if s.Born < 100 {
		t.Errorf("only %d connections: the server did not close enough of them", s.Born)
	}
}

// A connSet is the server's connections that rest.
type connSet struct {
	mu  sync.Mutex
	set map[net.Conn]struct{}
}

func newConnSet() *connSet { return &connSet{set: map[net.Conn]struct{}{}} }

func (s *connSet) add(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set[c] = struct{}{}
}

func (s *connSet) remove(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.set, c)
}

// closeOne closes one of them, whichever comes first.
func (s *connSet) closeOne() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.set {
		c.Close()
		delete(s.set, c)
		return
	}
}
