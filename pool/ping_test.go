package pool

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A strictServer takes PINGs as gRPC servers do by default: one in five minutes
// while a call is under way, one in two hours without; the third that comes too
// early is one too many. It answers requests but for "GET", which it holds.
type strictServer struct {
	mu       sync.Mutex
	pings    [][]time.Duration // on each connection, since it was made
	punished int
}

func (s *strictServer) server() frameServer {
	type state struct {
		born, last time.Time
		forgiven   bool
		strikes    int
		calls      map[uint32]bool
	}
	states := map[*frameConn]*state{}
	return frameServer{
		open: func(c *frameConn) {
			s.mu.Lock()
			defer s.mu.Unlock()
			states[c] = &state{born: time.Now(), calls: map[uint32]bool{}}
			s.pings = append(s.pings, nil)
			c.write(frameSettings, 0, 0)
		},
		frame: func(c *frameConn, f frame) {
			s.mu.Lock()
			defer s.mu.Unlock()
			st := states[c]
			switch {
			case f.kind == frameHeaders && f.ends(): // held
				st.calls[f.stream] = true
			case f.kind == frameReset:
				delete(st.calls, f.stream)
			case f.ends():
				c.answer(f.stream, "")
				st.forgiven = true
			case f.kind == framePing && f.flags&flagAck == 0:
				now := time.Now()
				s.pings[c.n] = append(s.pings[c.n], now.Sub(st.born))
				least := 2 * time.Hour
				if len(st.calls) > 0 {
					least = 5 * time.Minute
				}
				switch {
				case st.forgiven:
					st.forgiven, st.strikes = false, 0
				case st.last.Add(least).After(now):
					st.strikes++
				}
				st.last = now
				if st.strikes > 2 {
					s.punished++
					c.goAway(1<<31-1, codeCalm)
					c.hangUp()
				}
			}
		},
	}
}

// seen returns the times of the PINGs and how often they were too many.
func (s *strictServer) seen() (pings [][]time.Duration, punished int) {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pings, s.punished
}

// pinged runs f in a bubble with a strict server.
func pinged(t *testing.T, f func(t *testing.T, base *http.Transport, s *strictServer)) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := new(strictServer)
		var wg sync.WaitGroup
		wg.Go(func() { s.server().serve(l) })
		f(t, &http.Transport{Protocols: speaking("h2c"), DialContext: l.DialContext}, s)
		l.Close()
		wg.Wait()
	})
}

// callGRPC sends a gRPC request to the host and reads the response.
func callGRPC(t *testing.T, tr *Transport, url, contentType string) {
	t.Helper()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("call"))
	req.Header.Set("Content-Type", contentType)
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Error(err)
		return
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

// TestPingJitter: each connection is pinged at an interval of its own.
func TestPingJitter(t *testing.T) {
	pinged(t, func(t *testing.T, base *http.Transport, s *strictServer) {
		tr := &Transport{Base: base, IdleTimeout: 3 * time.Minute, Ping: PingConfig{Interval: time.Minute}}
		const conns = 20
		for i := range conns {
			callGRPC(t, tr, "http://host"+string(rune('a'+i))+"/", "text/plain")
		}
		time.Sleep(4 * time.Minute)
		shutdown(t, tr)
		pings, _ := s.seen()
		different := map[time.Duration]bool{}
		for _, at := range pings {
			if len(at) < 2 {
				t.Fatalf("%d pings in three minutes", len(at))
			}
			different[at[0]] = true
			for i, d := range at {
				if i > 0 {
					d -= at[i-1]
				}
				if d < 48*time.Second || d > time.Minute {
					t.Errorf("pinged after %v, want 48 to 60 s", d)
				}
				if d != at[0] {
					t.Errorf("intervals of one connection: %v, then %v", at[0], d)
				}
			}
		}
		if len(pings) != conns || len(different) < conns*9/10 {
			t.Errorf("%d connections, %d intervals", len(pings), len(different))
		}
	})
}

// TestPingGRPC: a host that gRPC requests are sent to is not pinged more often
// than a gRPC server takes, at rest and under way.
func TestPingGRPC(t *testing.T) {
	for _, idle := range []time.Duration{-1, 0, 10 * time.Minute, time.Hour, 10 * time.Hour} {
		for _, ct := range []string{"application/grpc", "application/grpc+proto", "application/grpc-web+json"} {
			pinged(t, func(t *testing.T, base *http.Transport, s *strictServer) {
				tr := &Transport{Base: base, IdleTimeout: idle, Ping: PingConfig{Interval: time.Minute}}
				for range 4 {
					callGRPC(t, tr, pipeURL, ct)
					time.Sleep(5 * time.Hour)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Hour)
				defer cancel()
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, pipeURL, nil)
				if _, err := tr.RoundTrip(req); err != context.DeadlineExceeded {
					t.Errorf("idle %v: a call that lasts: %v", idle, err)
				}
				shutdown(t, tr)
				n := 0
				pings, punished := s.seen()
				for _, at := range pings {
					n += len(at)
				}
				if punished > 0 || n == 0 {
					t.Errorf("idle %v: punished %d times, %d pings", idle, punished, n)
				}
			})
		}
	}
}

// TestPingCalm: a server that says ENHANCE_YOUR_CALM is heeded, also when its
// last connection is gone.
func TestPingCalm(t *testing.T) {
	pinged(t, func(t *testing.T, base *http.Transport, s *strictServer) {
		tr := &Transport{Base: base, Ping: PingConfig{Interval: time.Minute}}
		hold := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, pipeURL, nil)
			_, err := tr.RoundTrip(req)
			return err
		}
		if err := hold(); err == nil || !strings.Contains(err.Error(), "ENHANCE_YOUR_CALM") {
			t.Errorf("pinged every minute: %v", err)
		}
		if err := hold(); err != context.DeadlineExceeded {
			t.Errorf("pinged calmly: %v", err)
		}
		shutdown(t, tr)
		if pings, punished := s.seen(); punished != 1 || len(pings) != 2 || len(pings[1]) == 0 {
			t.Errorf("punished %d times, pings %v", punished, pings)
		}
	})
}

// TestPingUnheard: a PING that nobody answers ends a connection within the time
// for it, whether it rests or not, as a timeout.
func TestPingUnheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		deaf := frameServer{
			deaf: true,
			open: func(c *frameConn) { c.write(frameSettings, 0, 0) },
			frame: func(c *frameConn, f frame) {
				if f.kind == frameData && f.ends() {
					c.answer(f.stream, "")
				}
			},
		}
		var wg sync.WaitGroup
		wg.Go(func() { deaf.serve(l) })
		tr := &Transport{
			Base:        &http.Transport{Protocols: speaking("h2c"), DialContext: l.DialContext},
			IdleTimeout: -1,
			Ping:        PingConfig{Interval: time.Minute, Timeout: 10 * time.Second},
		}
		began := time.Now()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, pipeURL, nil)
		_, err := tr.RoundTrip(req)
		timeout, ok := errors.AsType[net.Error](err)
		if took := time.Since(began); !ok || !timeout.Timeout() || took < 58*time.Second || took > 70*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		callGRPC(t, tr, pipeURL, "text/plain")
		time.Sleep(70 * time.Second)
		wantResting(t, tr, 0)
		shutdown(t, tr)
		l.Close()
		wg.Wait()
	})
}

// TestPingSharesSessions: a Transport for each connection does not cost TLS its
// memory.
func TestPingSharesSessions(t *testing.T) {
	srv, base := newServer(t, "h2", hello)
	base.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	tr := &Transport{Base: base, MaxRequests: 1, Ping: PingConfig{Interval: time.Minute}}
	defer shutdown(t, tr)
	for i := range 3 {
		resp, err := tr.RoundTrip(mustRequest(t, srv.URL))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.ProtoMajor != 2 || resp.TLS.DidResume != (i > 0) {
			t.Errorf("connection %d: %s, resumed %t", i, resp.Proto, resp.TLS.DidResume)
		}
	}
}
