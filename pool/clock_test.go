package pool

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lastack/lastack/metrics"
)

func TestParseKeepAlive(t *testing.T) {
	for _, tt := range []struct {
		values   []string
		timeout  time.Duration
		requests int
	}{
		{nil, -1, -1},
		{[]string{""}, -1, -1},
		{[]string{"timeout=5"}, 5 * time.Second, -1},
		{[]string{"timeout=5, max=100"}, 5 * time.Second, 100},
		{[]string{"timeout=5", "max=0"}, 5 * time.Second, 0},
		{[]string{" TimeOut = 7 ,MAX=3, ext=\"x\""}, 7 * time.Second, 3},
		{[]string{`timeout="5"`}, 5 * time.Second, -1},
		{[]string{"timeout=0"}, 0, -1},
		{[]string{"timeout=-5, max=-1"}, -1, -1},
		{[]string{"timeout=five,max=,=,,timeout"}, -1, -1},
		{[]string{"timeout=99999999999999999999"}, -1, -1},
		{[]string{"timeout=5, timeout=9"}, 9 * time.Second, -1},
	} {
		timeout, requests := parseKeepAlive(tt.values)
		if timeout != tt.timeout || requests != tt.requests {
			t.Errorf("%q: %v, %d; want %v, %d", tt.values, timeout, requests, tt.timeout, tt.requests)
		}
	}
}

func FuzzKeepAlive(f *testing.F) {
	f.Add("timeout=5, max=100")
	f.Add(`timeout="1",max=2;x`)
	f.Add(strings.Repeat("max=1,", 1000))
	f.Fuzz(func(t *testing.T, s string) {
		timeout, requests := parseKeepAlive([]string{s})
		if timeout < -1 || requests < -1 || timeout > 1<<31*time.Second {
			t.Errorf("%q: %v, %d", s, timeout, requests)
		}
	})
}

// inClockBubble runs f with a server that closes connections after they have
// rested for limit, and has h answer.
func inClockBubble(t *testing.T, limit time.Duration, h http.Handler, f func(t *testing.T, base *http.Transport, l *pipeListener, srv *http.Server)) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		srv := &http.Server{Handler: h, IdleTimeout: limit, ErrorLog: quiet}
		var wg sync.WaitGroup
		wg.Go(func() { srv.Serve(l) })
		f(t, &http.Transport{DialContext: l.DialContext}, l, srv)
		srv.Close()
		wg.Wait()
	})
}

// rested sends a request, and another after the pause. It reports whether the
// second went over the same connection.
func rested(t *testing.T, tr *Transport, pause time.Duration) bool {
	t.Helper()
	get(t, tr, pipeURL)
	time.Sleep(pause)
	synctest.Wait()
	before := tr.Stats()
	get(t, tr, pipeURL)
	after := tr.Stats()
	tr.CloseIdleConnections() // the next begins anew
	synctest.Wait()
	return after.Reused > before.Reused
}

// TestKeepAliveTimeout: a connection is lent until shortly before the time that
// the server has announced, and the server closes it first.
func TestKeepAliveTimeout(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Keep-Alive", "timeout=10")
	})
	inClockBubble(t, 10*time.Second, h, func(t *testing.T, base *http.Transport, l *pipeListener, _ *http.Server) {
		tr := &Transport{Base: base}
		for pause, want := range map[time.Duration]bool{
			5 * time.Second: true, 7990 * time.Millisecond: true,
			8010 * time.Millisecond: false, 9990 * time.Millisecond: false, 11 * time.Second: false,
		} {
			if got := rested(t, tr, pause); got != want {
				t.Errorf("after %v reused: %v, want %v", pause, got, want)
			}
		}
		get(t, tr, pipeURL)
		time.Sleep(9 * time.Second)
		wantResting(t, tr, 1) // it is watched
		get(t, tr, pipeURL)   // over another
		wantResting(t, tr, 2)
		time.Sleep(2 * time.Second)
		wantResting(t, tr, 1)
		if k := tr.Stats().Hosts[0].KeepAlive; k.Timeout != 10*time.Second || k.Learned {
			t.Errorf("the accounts have %v, want what the server said", k)
		}
		if s := tr.Stats(); s.Reasons["server_close"] != 2 {
			t.Errorf("reasons %v, want the server to have closed two", s.Reasons)
		}
		shutdown(t, tr)
	})
}

// TestKeepAliveUnkept: a server that does not do what it announces is not waited
// for without end.
func TestKeepAliveUnkept(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Keep-Alive", "timeout=4")
	})
	inClockBubble(t, time.Hour, h, func(t *testing.T, base *http.Transport, l *pipeListener, _ *http.Server) {
		tr := &Transport{Base: base}
		get(t, tr, pipeURL)
		time.Sleep(5 * time.Second)
		wantResting(t, tr, 1)
		time.Sleep(2 * time.Second)
		wantResting(t, tr, 0)
		wantReason(t, tr, "idle_timeout", 1)
		shutdown(t, tr)
	})
}

// TestKeepAliveMax: the last request that the server takes says goodbye.
func TestKeepAliveMax(t *testing.T) {
	var goodbyes, served atomic.Int32
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Close {
			goodbyes.Add(1)
			return
		}
		w.Header().Set("Keep-Alive", fmt.Sprintf("timeout=100, max=%d", 4-(served.Add(1)-1)%4))
	})
	inClockBubble(t, 0, h, func(t *testing.T, base *http.Transport, l *pipeListener, _ *http.Server) {
		tr := &Transport{Base: base}
		for range 50 {
			get(t, tr, pipeURL)
		}
		if n := l.dials.Load(); n < 10 || n > 13 || goodbyes.Load() != 10 {
			t.Errorf("%d connections, %d goodbyes for 50 requests, 5 each", n, goodbyes.Load())
		}
		shutdown(t, tr)
	})
}

// TestLearnedLimit: when a server closes resting connections again and again
// after the same time, they are not lent any more shortly before; and what was
// learned is forgotten when it is not so any more.
func TestLearnedLimit(t *testing.T) {
	inClockBubble(t, 10*time.Second, hello, func(t *testing.T, base *http.Transport, l *pipeListener, srv *http.Server) {
		tr := &Transport{Base: base, IdleTimeout: time.Hour}
		for range closingsAlike {
			if !rested(t, tr, 9*time.Second) {
				t.Fatal("not reused before anything is known")
			}
			rested(t, tr, 11*time.Second)
		}
		if rested(t, tr, 9*time.Second) {
			t.Error("reused shortly before the limit, which has been seen often enough")
		}
		if k := tr.Stats().Hosts[0].KeepAlive; k.Timeout != 10*time.Second || !k.Learned {
			t.Errorf("the accounts have %v, want what was learned", k)
		}
		if !rested(t, tr, 7*time.Second) {
			t.Error("not reused long before the limit")
		}
		srv.IdleTimeout = time.Hour // as from a deploy
		tr.CloseIdleConnections()
		get(t, tr, pipeURL)
		time.Sleep(15 * time.Second) // longer than was learned: it is wrong
		synctest.Wait()
		if !rested(t, tr, 20*time.Second) {
			t.Error("not reused although the server keeps it by now")
		}
		if k := tr.Stats().Hosts[0].KeepAlive; k != (metrics.KeepAlive{}) {
			t.Errorf("the accounts have %v, which is not so any more", k)
		}
		shutdown(t, tr)
	})
}

// TestNoLimitLearned: closings at random, or all at one moment, are no limit.
func TestNoLimitLearned(t *testing.T) {
	inClockBubble(t, 0, hello, func(t *testing.T, base *http.Transport, l *pipeListener, _ *http.Server) {
		tr := &Transport{Base: base, IdleTimeout: -1}
		g := func() *group { return tr.allGroups()[0] }
		get(t, tr, pipeURL)
		now := time.Now()
		for range 10 { // one moment
			g().clock.closed(5*time.Second, now)
		}
		if g().clock.limit != 0 {
			t.Error("a restart is taken for a limit")
		}
		// A server that closes each connection at random, with requests between.
		k, random := new(clock), rand.New(rand.NewPCG(1, 2))
		wrong := 0
		for range 10000 {
			now = now.Add(time.Duration(random.ExpFloat64() * float64(time.Second)))
			if random.IntN(10) == 0 {
				k.closed(time.Duration(random.ExpFloat64()*float64(time.Second)), now)
			} else {
				k.lent(time.Duration(random.ExpFloat64()*float64(time.Second)), now)
			}
			if k.limit != 0 {
				wrong++
				k.disproved()
			}
		}
		if wrong > 100 {
			t.Errorf("a limit was learned %d times of 10000 from a server that has none", wrong)
		}
		shutdown(t, tr)
	})
}

// TestRetiredMakesRoom: where only so many connections may be, nobody waits for
// one to be closed by its server.
func TestRetiredMakesRoom(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Keep-Alive", "timeout=60")
	})
	inClockBubble(t, time.Minute, h, func(t *testing.T, base *http.Transport, l *pipeListener, _ *http.Server) {
		tr := &Transport{Base: base, MaxConnsPerHost: 2}
		for range 10 {
			var wg sync.WaitGroup
			began := time.Now()
			for range 2 {
				wg.Go(func() { get(t, tr, pipeURL) })
			}
			wg.Wait()
			if d := time.Since(began); d > 0 {
				t.Fatalf("a request took %v", d)
			}
			time.Sleep(59 * time.Second) // they are not lent any more
		}
		shutdown(t, tr)
	})
}
