package pool

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/metrics"
)

// A holder is a frame server that holds all requests until it is told what to
// do with them. It notes what came.
type holder struct {
	first uint32 // the limit on streams that connections begin with

	mu    sync.Mutex
	conns []*frameConn
	held  map[*frameConn][]uint32 // streams that are complete and not answered
	most  map[*frameConn]int      // most of those at a time
	body  map[string]int          // bodies that came, and how often
	parts map[*frameConn]map[uint32]string
	every func(c *frameConn, f frame) // if not nil: instead of holding
}

func newHolder(limit uint32) *holder {
	return &holder{
		first: limit, held: map[*frameConn][]uint32{}, most: map[*frameConn]int{}, body: map[string]int{},
		parts: map[*frameConn]map[uint32]string{},
	}
}

func (h *holder) server() frameServer {
	return frameServer{
		open: func(c *frameConn) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.conns = append(h.conns, c)
			h.parts[c] = map[uint32]string{}
			c.limit(h.first)
		},
		frame: func(c *frameConn, f frame) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if f.kind == frameData {
				h.parts[c][f.stream] += string(f.payload)
			}
			if !f.ends() {
				return
			}
			h.body[h.parts[c][f.stream]]++
			if h.every != nil {
				h.every(c, f)
				return
			}
			h.held[c] = append(h.held[c], f.stream)
			h.most[c] = max(h.most[c], len(h.held[c]))
		},
	}
}

// await waits until the n-th connection holds as many requests.
func (h *holder) await(t *testing.T, n, requests int) *frameConn {
	t.Helper()
	var c *frameConn
	netlab.Eventually(t, 20*time.Second, fmt.Sprintf("connection %d holds %d requests", n, requests), func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.conns) <= n {
			return false
		}
		c = h.conns[n]
		return len(h.held[c]) == requests
	})
	return c
}

// answer answers the requests held on the connection, those up to the stream.
func (h *holder) answer(c *frameConn, upTo uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	rest := h.held[c][:0]
	for _, s := range h.held[c] {
		if s > upTo {
			rest = append(rest, s)
			continue
		}
		c.answer(s, "answer")
	}
	h.held[c] = rest
}

// answerAll answers everything from now on.
func (h *holder) answerAll() {
	h.mu.Lock()
	h.every = func(c *frameConn, f frame) { c.answer(f.stream, "answer") }
	conns := h.conns
	h.mu.Unlock()
	for _, c := range conns {
		h.answer(c, 1<<31)
	}
}

func (h *holder) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

// posts sends n POSTs with bodies of their own, at once.
func posts(ctx context.Context, t *testing.T, tr http.RoundTripper, url string, from, n int, wg *sync.WaitGroup) {
	for i := range n {
		wg.Go(func() {
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(fmt.Sprint("post ", from+i)))
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Errorf("post %d: %v", from+i, err)
				return
			}
			if b, err := io.ReadAll(resp.Body); string(b) != "answer" || err != nil {
				t.Errorf("post %d: %q, %v", from+i, b, err)
			}
			resp.Body.Close()
		})
	}
}

// warmed returns a Transport with one connection to the server, whose SETTINGS
// are known.
func (h *holder) warmed(t *testing.T, tune func(*Transport)) (*Transport, string) {
	t.Helper()
	url, base := h.server().start(t)
	tr := &Transport{Base: base}
	if tune != nil {
		tune(tr)
	}
	var wg sync.WaitGroup
	posts(t.Context(), t, tr, url, -1, 1, &wg)
	h.answer(h.await(t, 0, 1), 1<<31)
	wg.Wait()
	return tr, url
}

func oneConn(tr *Transport) { tr.MaxConnsPerHost = 1 }

// TestHTTP2GoAway: a connection that the server will not take requests on gets
// no new ones; those that it has taken finish, and those that it has not go
// elsewhere, also POSTs.
func TestHTTP2GoAway(t *testing.T) {
	for name, announce := range map[string]bool{"at once": false, "announced": true} {
		t.Run(name, func(t *testing.T) {
			h := newHolder(100)
			tr, url := h.warmed(t, nil)
			defer shutdown(t, tr)
			var wg, later sync.WaitGroup
			posts(t.Context(), t, tr, url, 0, 8, &wg)
			c := h.await(t, 0, 8)
			h.mu.Lock()
			h.every = func(c *frameConn, f frame) {
				if c.n > 0 {
					c.answer(f.stream, "answer")
				} else {
					t.Errorf("stream %d after GOAWAY", f.stream)
				}
			}
			h.mu.Unlock()
			if announce {
				c.goAway(1<<31-1, codeNo)
			}
			c.goAway(9, codeNo) // streams 3 to 9 are under way, 11 to 17 are not
			netlab.Eventually(t, 20*time.Second, "four are sent again", func() bool { return tr.Stats().Retries == 4 })
			posts(t.Context(), t, tr, url, 8, 4, &later)
			later.Wait()
			h.answer(c, 9)
			wg.Wait()
			twice := 0
			h.mu.Lock()
			for i := range 12 {
				switch n := h.body[fmt.Sprint("post ", i)]; n {
				case 1:
				case 2:
					twice++
				default:
					t.Errorf("post %d came %d times", i, n)
				}
			}
			h.mu.Unlock()
			if twice != 4 {
				t.Errorf("%d were sent twice, want 4", twice)
			}
			netlab.Eventually(t, 20*time.Second, "the connection is left", func() bool { return len(tr.Stats().Reasons) > 0 })
			if runtime.GOOS == "linux" { // elsewhere nobody sees that the server has not closed
				wantReason(t, tr, metrics.GoAway, 1)
			}
			t.Logf("%d connections", h.count())
		})
	}
}

// TestHTTP2LimitRaised: those who wait are served as soon as the server takes more.
func TestHTTP2LimitRaised(t *testing.T) {
	h := newHolder(2)
	tr, url := h.warmed(t, oneConn)
	defer shutdown(t, tr)
	var wg sync.WaitGroup
	posts(t.Context(), t, tr, url, 0, 6, &wg)
	c := h.await(t, 0, 2)
	c.limit(5)
	h.await(t, 0, 5)
	c.limit(100)
	h.await(t, 0, 6)
	h.answerAll()
	wg.Wait()
}

// TestHTTP2LimitLowered: no more than that from then on.
func TestHTTP2LimitLowered(t *testing.T) {
	h := newHolder(8)
	tr, url := h.warmed(t, oneConn)
	defer shutdown(t, tr)
	var wg sync.WaitGroup
	posts(t.Context(), t, tr, url, 0, 8, &wg)
	c := h.await(t, 0, 8)
	c.limit(3)
	posts(t.Context(), t, tr, url, 8, 8, &wg)
	h.answer(c, 1<<31)
	h.mu.Lock()
	h.most[c] = 0
	h.mu.Unlock()
	for range 2 {
		h.await(t, 0, 3)
		h.answer(c, 1<<31)
	}
	h.await(t, 0, 2)
	h.answer(c, 1<<31)
	wg.Wait()
	if n := h.most[c]; n > 3 {
		t.Errorf("%d streams at a time", n)
	}
}

// TestHTTP2LimitZero: a server that takes nothing for a while gets its requests
// afterwards, and is not dialled without a pause meanwhile.
func TestHTTP2LimitZero(t *testing.T) {
	for _, tt := range []struct {
		name string
		warm bool
		tune func(*Transport)
	}{
		{"from the beginning", false, func(*Transport) {}},
		{"from the beginning, one connection", false, oneConn},
		{"later", true, func(*Transport) {}},
		{"later, one connection", true, oneConn},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			h := newHolder(100)
			var tr *Transport
			var url string
			if tt.warm {
				tr, url = h.warmed(t, tt.tune)
				h.mu.Lock()
				h.conns[0].limit(0)
				h.mu.Unlock()
			} else {
				var base *http.Transport
				url, base = h.server().start(t)
				tr = &Transport{Base: base}
				tt.tune(tr)
			}
			defer shutdown(t, tr)
			h.mu.Lock()
			h.first = 0
			h.every = func(c *frameConn, f frame) { c.reset(f.stream, refusedStream) }
			h.mu.Unlock()
			var wg sync.WaitGroup
			began := time.Now()
			posts(t.Context(), t, tr, url, 0, 5, &wg)
			netlab.Eventually(t, time.Minute, "a while passes", func() bool { return time.Since(began) > 700*time.Millisecond })
			dials := h.count()
			h.mu.Lock()
			h.first = 100
			for _, c := range h.conns {
				c.limit(100)
			}
			h.mu.Unlock()
			h.answerAll()
			wg.Wait()
			t.Logf("%d connections in %v, %d in all; served after %v", dials, 700*time.Millisecond, h.count(), time.Since(began))
			if dials > 50 {
				t.Errorf("%d connections for 5 requests in vain", dials)
			}
		})
	}
}

// TestHTTP2LimitOscillates: no request hangs when the limit falls just as slots
// are given away.
func TestHTTP2LimitOscillates(t *testing.T) {
	for _, limit := range []uint32{0, 1} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			h := newHolder(50)
			tr, url := h.warmed(t, oneConn)
			defer shutdown(t, tr)
			h.answerAll()
			stop := make(chan struct{})
			var flips sync.WaitGroup
			flips.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					case <-time.After(200 * time.Microsecond):
					}
					h.mu.Lock()
					c := h.conns[len(h.conns)-1]
					h.mu.Unlock()
					c.limit([]uint32{limit, 50}[i%2])
				}
			})
			began := time.Now()
			var served, slowest atomic.Int64
			var wg sync.WaitGroup
			for i := range 40 {
				wg.Go(func() {
					for j := 0; time.Since(began) < 3*time.Second; j++ {
						ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
						sent := time.Now()
						var one sync.WaitGroup
						posts(ctx, t, tr, url, 1000*i+j, 1, &one)
						one.Wait()
						cancel()
						served.Add(1)
						if took := int64(time.Since(sent)); took > slowest.Load() {
							slowest.Store(took)
						}
					}
				})
			}
			wg.Wait()
			close(stop)
			flips.Wait()
			t.Logf("%d served, the slowest after %v; %d connections, %d retries",
				served.Load(), time.Duration(slowest.Load()), h.count(), tr.Stats().Retries)
		})
	}
}

// TestHTTP2Refused: a request that the server has not begun on is sent again,
// with pauses, and not for ever.
func TestHTTP2Refused(t *testing.T) {
	for _, refusals := range []int{1, 3, 1000} {
		h := newHolder(100)
		tr, url := h.warmed(t, oneConn)
		var left atomic.Int32
		left.Store(int32(refusals))
		h.mu.Lock()
		h.every = func(c *frameConn, f frame) {
			if left.Add(-1) >= 0 {
				c.reset(f.stream, refusedStream)
				return
			}
			c.answer(f.stream, "answer")
		}
		h.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("refused"))
		began := time.Now()
		resp, err := tr.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) != (refusals < 1000) {
			t.Errorf("refused %d times: %v", refusals, err)
		}
		attempts := int(tr.Stats().Retries) + 1
		if attempts > maxAttempts || refusals < 1000 && attempts != refusals+1 {
			t.Errorf("refused %d times, sent %d times", refusals, attempts)
		}
		t.Logf("refused %d times: sent %d times in %v", refusals, attempts, time.Since(began))
		cancel()
		shutdown(t, tr)
		if s := tr.Stats(); s.Reasons[metrics.Error] != 0 {
			t.Errorf("reasons %v", s.Reasons)
		}
	}
}
