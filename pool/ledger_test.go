package pool

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lastack/lastack/metrics"
)

// observed keeps what an Observer is told.
type observed struct {
	mu    sync.Mutex
	dials []metrics.Dial
	waits []error
	used  int
	lives []metrics.Life
}

func (o *observed) do(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
}

func (o *observed) Dialed(_ string, d metrics.Dial) { o.do(func() { o.dials = append(o.dials, d) }) }
func (o *observed) Waited(_ string, _ time.Duration, err error) {
	o.do(func() { o.waits = append(o.waits, err) })
}
func (o *observed) Used(string, time.Duration) { o.do(func() { o.used++ }) }
func (o *observed) Ended(l metrics.Life)       { o.do(func() { o.lives = append(o.lives, l) }) }

// TestDialPhases: a dial says what took its time, whoever's dialer it is, and the
// user's own hooks are called as well.
func TestDialPhases(t *testing.T) {
	srv := httptest.NewTLSServer(hello)
	defer srv.Close()
	url := strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	for name, base := range map[string]*http.Transport{
		"own dialer":   nil,
		"Base's":       {DialContext: new(net.Dialer).DialContext},
		"Base without": {},
	} {
		t.Run(name, func(t *testing.T) {
			if base == nil {
				base = new(http.Transport)
			}
			base.TLSClientConfig = &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"}
			var o observed
			tr := &Transport{Base: base, Meter: &metrics.Meter{Observer: &o}}
			var users atomic.Int32
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				DNSStart:          func(httptrace.DNSStartInfo) { users.Add(1) },
				ConnectDone:       func(string, string, error) { users.Add(1) },
				TLSHandshakeStart: func() { users.Add(1) },
			})
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			shutdown(t, tr)
			if len(o.dials) != 1 || o.used != 1 || len(o.lives) != 1 || len(o.waits) != 1 {
				t.Fatalf("observed %+v", &o)
			}
			d := o.dials[0]
			if d.DNS <= 0 || d.TCP <= 0 || d.TLS <= 0 || d.DNS+d.TCP+d.TLS > d.Total || d.Err != nil || d.Reason != metrics.Cold {
				t.Errorf("the dial is %+v", d)
			}
			s := tr.Stats()
			for _, h := range []metrics.Histogram{s.DNSTime, s.TCPTime, s.TLSTime, s.DialTime, s.WaitTime, s.UseTime, s.LifeTime, s.PerConn} {
				if h.Count != 1 {
					t.Errorf("a histogram has %d values: %+v", h.Count, s)
				}
			}
			if s.PerConn.Sum != 1 || s.DialTime.Sum <= 0 {
				t.Errorf("%v requests of a connection, dialled for %v s", s.PerConn.Sum, s.DialTime.Sum)
			}
			if users.Load() < 3 {
				t.Errorf("%d of the user's hooks were called", users.Load())
			}
		})
	}
}

// TestWhyDialed: each dial is made for what had become of the connection before.
func TestWhyDialed(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, _ *pipeListener) {
		tr := &Transport{Base: base, IdleTimeout: time.Minute, MaxRequests: 3}
		want := map[string]uint64{}
		expect := func(what, why string) {
			t.Helper()
			want[why]++
			if got := tr.Stats().DialedBy; !maps.Equal(got, want) {
				t.Fatalf("%s: dialled by %v, want %v", what, got, want)
			}
		}
		get(t, tr, "http://host/")
		expect("the first", metrics.Cold)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		get(t, tr, "http://host/")
		expect("after the idle limit", metrics.IdleTimeout)
		for range 3 {
			get(t, tr, "http://host/")
		}
		expect("after the last of its requests", metrics.MaxRequests)
		if err := tr.Warm(context.Background(), "http://host/", 2); err != nil {
			t.Fatal(err)
		}
		expect("warm", metrics.Warm)
		shutdown(t, tr)
	})
}

// TestIdleClaims: what a server does with connections that rest for longer than the
// pool lets them nobody knows, so the ghosts claim nothing for them. Most servers
// close them.
func TestIdleClaims(t *testing.T) {
	for _, tt := range []struct {
		idle        time.Duration // the pool's
		gap         time.Duration // between requests
		have, dials uint64        // of four requests, of http.DefaultTransport
	}{
		{10 * time.Second, 3 * time.Minute, 0, 4},
		{90 * time.Second, 3 * time.Minute, 4, 4},
		{10 * time.Minute, 85 * time.Second, 1, 1}, // lent again after that
	} {
		inBubble(t, hello, func(t *testing.T, base *http.Transport, _ *pipeListener) {
			tr := &Transport{Base: base, IdleTimeout: tt.idle}
			for range 4 {
				get(t, tr, "http://host/")
				time.Sleep(tt.gap)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			s := tr.Stats()
			if got := s.WouldHave[metrics.NetHTTPDefault]; got != tt.have {
				t.Errorf("resting for %v at most, used each %v: %d TIME_WAITs are claimed, want %d", tt.idle, tt.gap, got, tt.have)
			}
			if got := s.WouldDial[metrics.NetHTTPDefault]; got != tt.dials {
				t.Errorf("resting for %v at most, used each %v: %d would have been dialled, want %d", tt.idle, tt.gap, got, tt.dials)
			}
			shutdown(t, tr)
		})
	}
}
