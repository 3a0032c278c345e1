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

	"github.com/lastack/lastack/metrics"
)

// A holding is a handler that holds requests until they are let go.
type holding struct {
	gate chan struct{} // made in the bubble
}

func (h *holding) ServeHTTP(http.ResponseWriter, *http.Request) { <-h.gate }

// burst has n requests under way at once, and then lets all of them end.
func burst(t *testing.T, tr *Transport, h *holding, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { get(t, tr, pipeURL) })
	}
	synctest.Wait()
	for range n {
		h.gate <- struct{}{}
	}
	wg.Wait()
	synctest.Wait()
}

// TestReplacementFirst: a connection that grows old goes on until another has
// come, so that nobody waits for it.
func TestReplacementFirst(t *testing.T) {
	var goodbyes atomic.Int32
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Close {
			goodbyes.Add(1)
		}
	})
	inBubble(t, h, func(t *testing.T, base *http.Transport, l *pipeListener) {
		slow := base.Clone()
		slow.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(3 * time.Second)
			return l.DialContext(ctx, network, addr)
		}
		tr := &Transport{Base: slow, MaxAge: time.Hour}
		for range 10 * 3600 / 5 {
			get(t, tr, pipeURL)
			time.Sleep(5 * time.Second)
			if s := tr.Stats(); s.Resting > 2 || s.Resting == 0 {
				t.Fatalf("%d connections rest, want 1, or 2 while one is replaced", s.Resting)
			}
		}
		s := tr.Stats()
		if s.Waits != 1 {
			t.Errorf("%d requests waited, want the first only", s.Waits)
		}
		if n := l.dials.Load(); n < 10 || n > 14 {
			t.Errorf("%d connections in 10 hours, want 10 to 14", n)
		}
		if n := goodbyes.Load(); n < 9 || uint64(n) != s.Reasons[metrics.MaxAge] {
			t.Errorf("%d goodbyes, %v", n, s.Reasons)
		}
		shutdown(t, tr)

		// Where only one connection is allowed it has to go first.
		tr = &Transport{Base: slow, MaxAge: time.Hour, MaxConnsPerHost: 1}
		for range 2 * 3600 / 5 {
			get(t, tr, pipeURL)
			time.Sleep(5 * time.Second)
			if s := tr.Stats(); s.Resting+s.Busy+s.Dialing > 1 {
				t.Fatalf("more than one connection: %v", s)
			}
		}
		if s := tr.Stats(); s.Reasons[metrics.MaxAge] < 1 {
			t.Errorf("none left by age: %v", s.Reasons)
		}
		shutdown(t, tr)
	})
}

// TestExcess: in first-in first-out order every connection stays in use, so that
// idle time alone would never shrink the pool after a burst. Half of what is
// not needed leaves at a time.
func TestExcess(t *testing.T) {
	h := new(holding)
	inBubble(t, h, func(t *testing.T, base *http.Transport, l *pipeListener) {
		h.gate = make(chan struct{})
		tr := &Transport{Base: base, Order: FIFO, IdleTimeout: 100 * time.Second}
		burst(t, tr, h, 64)
		most := tr.Stats().Resting
		sizes := []int64{most}
		for range 600 {
			burst(t, tr, h, 1)
			time.Sleep(time.Second)
			if n := tr.Stats().Resting; n != sizes[len(sizes)-1] {
				sizes = append(sizes, n)
			}
		}
		if most != 64 || sizes[len(sizes)-1] > 2 {
			t.Errorf("connections at rest over time: %v, want 64 to 2 or less", sizes)
		}
		for i, n := range sizes[1:] {
			if n < sizes[i]/2-1 {
				t.Errorf("connections at rest over time: %v, want no more than half to leave at a time", sizes)
				break
			}
		}
		if s := tr.Stats(); s.Reasons[metrics.Excess] == 0 {
			t.Errorf("reasons %v", s.Reasons)
		}
		shutdown(t, tr)
	})
}

// TestBurstsKept: what each burst needs is there for the next one.
func TestBurstsKept(t *testing.T) {
	h := new(holding)
	inBubble(t, h, func(t *testing.T, base *http.Transport, l *pipeListener) {
		h.gate = make(chan struct{})
		for _, order := range []Order{LIFO, FIFO} {
			l.dials.Store(0)
			tr := &Transport{Base: base, Order: order, IdleTimeout: 100 * time.Second}
			for range 20 {
				burst(t, tr, h, 50)
				time.Sleep(80 * time.Second)
			}
			if n := l.dials.Load(); n != 50 {
				t.Errorf("order %d: %d dials for bursts of 50 every 80 s, want 50", order, n)
			}
			shutdown(t, tr)
		}
	})
}

func TestMinConns(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		tr := &Transport{Base: base, MinConnsPerHost: 3, IdleTimeout: time.Minute}
		get(t, tr, pipeURL)
		wantResting(t, tr, 3)
		time.Sleep(time.Hour)
		wantResting(t, tr, 3)
		if n := l.dials.Load(); n != 3 {
			t.Errorf("%d dials, want 3", n)
		}
		tr.CloseIdleConnections()
		time.Sleep(time.Hour)
		wantResting(t, tr, 0)
		if err := tr.Warm(t.Context(), pipeURL, 1); err != nil {
			t.Error(err)
		}
		wantResting(t, tr, 3)
		shutdown(t, tr)

		// Beyond the minimum, time counts as ever.
		tr = &Transport{Base: base, MinConnsPerHost: 1, IdleTimeout: time.Minute}
		if err := tr.Warm(t.Context(), pipeURL, 5); err != nil {
			t.Error(err)
		}
		wantResting(t, tr, 5)
		time.Sleep(2 * time.Minute)
		wantResting(t, tr, 1)
		shutdown(t, tr)
	})
}

// TestMinConnsReplaces: connections that the server closes are replaced, and a
// host that is down is asked again ever more rarely.
func TestMinConnsReplaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		srv := &http.Server{Handler: hello, IdleTimeout: 10 * time.Second, ErrorLog: quiet}
		var wg sync.WaitGroup
		wg.Go(func() { srv.Serve(l) })
		tr := &Transport{Base: &http.Transport{DialContext: l.DialContext}, MinConnsPerHost: 2}
		get(t, tr, pipeURL)
		for range 100 {
			time.Sleep(time.Second)
			synctest.Wait()
			if s := tr.Stats(); s.Resting < 2 {
				t.Fatalf("%d connections rest, want 2 at least", s.Resting)
			}
		}
		srv.Close()
		wg.Wait()
		synctest.Wait()
		dials := l.dials.Load()
		time.Sleep(time.Hour)
		if n := l.dials.Load() - dials; n < 100 || n > 600 {
			t.Errorf("%d dials in an hour to a host that is down, want one each 8 to 16 s", n)
		}
		for range 20 { // requests do not wait for these dials
			began := time.Now()
			if _, err := tr.RoundTrip(mustRequest(t, pipeURL)); err == nil || time.Since(began) > backoffMax {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		}
		shutdown(t, tr)
	})
}

func TestCloseIdleSpread(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		tr := &Transport{Base: base}
		if err := tr.Warm(t.Context(), pipeURL, 200); err != nil {
			t.Fatal(err)
		}
		wantResting(t, tr, 200)
		tr.CloseIdleConnections()
		wantResting(t, tr, 0) // none is lent any more
		if s := tr.Stats(); s.Ended[0] != drainBatch {
			t.Errorf("%d closed at once, want %d", s.Ended[0], drainBatch)
		}
		time.Sleep(3 * drainPause)
		synctest.Wait()
		if s := tr.Stats(); s.Ended[0] != 200 || s.Reasons[metrics.CloseIdle] != 200 {
			t.Errorf("ended %v for %v, want all", s.Ended, s.Reasons)
		}

		if err := tr.Warm(t.Context(), pipeURL, 200); err != nil {
			t.Fatal(err)
		}
		tr.CloseIdleConnections()
		began := time.Now()
		shutdown(t, tr) // does not wait for the pauses
		if d := time.Since(began); d > drainPause {
			t.Errorf("Shutdown took %v", d)
		}
	})
}

func TestCloseIdleHost(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		tr := &Transport{Base: base}
		rest := func(want ...string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for _, h := range tr.Stats().Hosts {
				if h.Resting > 0 {
					got = append(got, h.Name)
				}
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("connections rest to %v, want %v", got, want)
			}
		}
		for _, u := range []string{"http://a.test/", "http://a.test:81/", "http://b.test/"} {
			get(t, tr, u)
		}
		tr.CloseIdleHost("a.tes")
		rest("a.test:80", "a.test:81", "b.test:80")
		tr.CloseIdleHost("a.test:81")
		rest("a.test:80", "b.test:80")
		get(t, tr, "http://a.test:81/")
		tr.CloseIdleHost("a.test")
		rest("b.test:80")
		for _, host := range []string{"[::1]", "::1"} {
			get(t, tr, "http://[::1]/")
			get(t, tr, "http://[::1]:81/")
			rest("[::1]:80", "[::1]:81", "b.test:80")
			tr.CloseIdleHost(host)
			rest("b.test:80")
		}
		get(t, tr, "http://[::1]/")
		get(t, tr, "http://[::1]:81/")
		tr.CloseIdleHost("[::1]:81")
		rest("[::1]:80", "b.test:80")
		shutdown(t, tr)
	})
}

// TestBackoff: a host that is down is dialled ever more rarely, however many
// requests there are for it, each of which is told of a dial that began after
// it came; and when it is back, they go there.
func TestBackoff(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		var down atomic.Bool
		var dials atomic.Int32
		refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}
		flaky := base.Clone()
		flaky.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			if down.Load() {
				return nil, refused
			}
			return l.DialContext(ctx, network, addr)
		}
		tr := &Transport{Base: flaky}
		down.Store(true)
		var wg sync.WaitGroup
		var failed atomic.Int32
		began := time.Now()
		for range 100 {
			wg.Go(func() {
				for down.Load() {
					req, _ := http.NewRequest(http.MethodGet, pipeURL, nil)
					resp, err := tr.RoundTrip(req)
					if err == nil {
						resp.Body.Close()
						return
					}
					failed.Add(1)
					if !errors.Is(err, refused.Err) {
						t.Error(err)
					}
				}
				get(t, tr, pipeURL)
			})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		// 64 at once at first, then 5 to 250 ms apart, less up to a half.
		if n := dials.Load(); n < 240 || n > defaultMaxDials+500 {
			t.Errorf("%d dials in a minute", n)
		}
		if failed.Load() < 100*240 {
			t.Errorf("%d requests failed, want all 100 each time", failed.Load())
		}
		down.Store(false)
		back := time.Now()
		wg.Wait()
		if d := time.Since(back); d > backoffMax {
			t.Errorf("%v until a host that is back is used", d)
		}
		if s := tr.Stats(); time.Since(began) < time.Minute || s.Leases != 100 {
			t.Errorf("%d leases, want 100", s.Leases)
		}
		shutdown(t, tr)
	})
}

// TestBackoffError: the error says that dials are spaced out, and is found by
// type and by cause.
func TestBackoffError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	tr := &Transport{}
	defer shutdown(t, tr)
	url := "http://" + l.Addr().String() + "/"
	for i := range 3 {
		_, err := (&http.Client{Transport: tr}).Get(url)
		pe, ok := errors.AsType[*Error](err)
		if !ok || pe.Op != "dial" || pe.Failures != i+1 || pe.Key.Address != l.Addr().String() {
			t.Fatalf("error %#v, want a dial's, failure %d", err, i+1)
		}
		if oe, ok := errors.AsType[*net.OpError](err); !ok || oe.Op != "dial" {
			t.Errorf("%v does not unwrap to net's", err)
		}
		if said := strings.Contains(err.Error(), "in a row"); said != (i > 0) {
			t.Errorf("error %q", err)
		}
	}
}

// TestHTTP2NearLimit: another connection is dialled before the first is full,
// and when load falls the first serves alone and the other leaves.
func TestHTTP2NearLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(http.Protocols)
		p.SetUnencryptedHTTP2(true)
		l := newPipeListener()
		h := &holding{make(chan struct{})}
		srv := &http.Server{Handler: h, Protocols: p, ErrorLog: quiet,
			HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 20}}
		var wg sync.WaitGroup
		wg.Go(func() { srv.Serve(l) })
		tr := &Transport{Base: &http.Transport{Protocols: p, DialContext: l.DialContext}}
		burst(t, tr, h, 1)
		for n, want := range map[int]int32{5: 1, 9: 1} {
			burst(t, tr, h, n)
			if got := l.dials.Load(); got != want {
				t.Errorf("%d requests: %d dials, want %d", n, got, want)
			}
		}
		waits := tr.Stats().Waits
		burst(t, tr, h, 18)
		burst(t, tr, h, 19)
		if got := l.dials.Load(); got != 2 {
			t.Errorf("18 of 20 streams: %d dials, want 2", got)
		}
		burst(t, tr, h, 30)
		if s := tr.Stats(); s.Waits != waits || l.dials.Load() != 2 {
			t.Errorf("%d requests waited, %d dials; want none, 2", s.Waits-waits, l.dials.Load())
		}
		for range 200 {
			burst(t, tr, h, 1)
			time.Sleep(time.Second)
		}
		wantResting(t, tr, 1)
		wantReason(t, tr, metrics.IdleTimeout, 1)
		shutdown(t, tr)
		srv.Close()
		wg.Wait()
	})
}

// TestColdBurst: of a thousand requests at once to a server that is slow to
// accept, no more than the bound dial at a time, and no connection is thrown away.
func TestColdBurst(t *testing.T) {
	work := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Millisecond) })
	inBubble(t, work, func(t *testing.T, base *http.Transport, l *pipeListener) {
		var now, most atomic.Int64
		slow := base.Clone()
		slow.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			raise(&most, now.Add(1))
			defer now.Add(-1)
			time.Sleep(100 * time.Millisecond)
			return l.DialContext(ctx, network, addr)
		}
		for _, bound := range []int{0, 7} {
			most.Store(0)
			tr := &Transport{Base: slow, MaxDialsPerHost: bound}
			var wg sync.WaitGroup
			for range 1000 {
				wg.Go(func() { get(t, tr, pipeURL) })
			}
			wg.Wait()
			time.Sleep(time.Second) // for the dials that nobody waits for any more
			synctest.Wait()
			s := tr.Stats()
			if want := int64(cmpOr(bound, defaultMaxDials)); most.Load() != want {
				t.Errorf("%d dials at a time, want %d", most.Load(), want)
			}
			if s.Born != s.Dials || s.Resting != int64(s.Born) {
				t.Errorf("%d dials, %d connections, %d at rest", s.Dials, s.Born, s.Resting)
			}
			shutdown(t, tr)
		}
	})
}

// TestFollowsDNS: with MaxAge a pool follows the name to where it leads by now,
// and no request waits for that.
func TestFollowsDNS(t *testing.T) {
	named := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, name) })
	}
	inBubble(t, named("old"), func(t *testing.T, base *http.Transport, older *pipeListener) {
		newer := newPipeListener()
		srv := &http.Server{Handler: named("new"), ErrorLog: quiet}
		var wg sync.WaitGroup
		wg.Go(func() { srv.Serve(newer) })
		var moved atomic.Bool
		base = base.Clone()
		base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != "in.memory:80" {
				t.Errorf("dials %s, want the name", addr)
			}
			if moved.Load() {
				return newer.DialContext(ctx, network, addr)
			}
			return older.DialContext(ctx, network, addr)
		}
		tr := &Transport{Base: base, MaxAge: time.Minute}
		get(t, tr, pipeURL)
		moved.Store(true)
		began := time.Now()
		for get(t, tr, pipeURL) == "old" {
			time.Sleep(time.Second)
		}
		if d := time.Since(began); d > time.Minute {
			t.Errorf("moved after %v", d)
		}
		if s := tr.Stats(); s.Waits != 1 {
			t.Errorf("%d requests waited for a dial, want the first only", s.Waits)
		}
		shutdown(t, tr)
		srv.Close()
		wg.Wait()
	})
}
