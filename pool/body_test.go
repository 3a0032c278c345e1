package pool

import (
	"io"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lastack/lastack/metrics"
)

// TestDrainBounds: what is read of a response that was closed unread is bounded
// by bytes and by time, and nobody waits for it.
func TestDrainBounds(t *testing.T) {
	var sent atomic.Int64
	var began time.Time
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began = time.Now()
		sent.Store(0)
		if r.URL.Path == "/known" {
			w.Header().Set("Content-Length", "1000000")
		}
		w.(http.Flusher).Flush()
		for r.URL.Path != "/silent" {
			n, err := w.Write(make([]byte, 4<<10))
			sent.Add(int64(n))
			if err != nil {
				return
			}
			if r.URL.Path == "/slow" {
				time.Sleep(time.Millisecond)
			}
		}
		<-r.Context().Done()
	})
	inBubble(t, h, func(t *testing.T, base *http.Transport, l *pipeListener) {
		const buffers = 64 << 10 // net/http's, on the way
		for _, tt := range []struct {
			path  string
			bytes int64
			took  time.Duration
		}{
			{"/known", buffers, 0},                   // it says that it is too long
			{"/endless", drainBytes + buffers, 0},    // it turns out to be
			{"/slow", 50*4<<10 + buffers, drainTime}, // it takes too long
			{"/silent", 0, drainTime},
		} {
			tr := &Transport{Base: base}
			resp, err := tr.RoundTrip(mustRequest(t, "http://in.memory"+tt.path))
			if err != nil {
				t.Fatal(err)
			}
			closing := time.Now()
			resp.Body.Close()
			if took := time.Since(closing); took != 0 {
				t.Errorf("%s: Close took %v", tt.path, took)
			}
			shutdown(t, tr)
			if took := time.Since(began); took < tt.took || took > tt.took+10*time.Millisecond {
				t.Errorf("%s: the drain took %v, want %v", tt.path, took, tt.took)
			}
			if n := sent.Load(); n > tt.bytes {
				t.Errorf("%s: %d bytes were read, want %d at most", tt.path, n, tt.bytes)
			}
			wantReason(t, tr, metrics.BodyNotDrained, 1)
			time.Sleep(time.Second)
			synctest.Wait() // until the handler has seen it, too
		}
	})
}

// TestReadMeetsClose: bodies are read and closed by several goroutines at a
// time while garbage is collected, and each connection comes back or ends.
func TestReadMeetsClose(t *testing.T) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			srv, base := newServer(t, proto, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for range 8 {
					w.Write(make([]byte, 4<<10))
					w.(http.Flusher).Flush()
				}
			}))
			tr := watchful(&Transport{Base: base, LongBody: time.Millisecond})
			var stop atomic.Bool
			var collector sync.WaitGroup
			collector.Go(func() {
				for !stop.Load() {
					runtime.GC()
				}
			})
			var callers sync.WaitGroup
			for range 4 {
				callers.Go(func() {
					for i := range 50 {
						resp, err := tr.RoundTrip(mustRequest(t, srv.URL))
						if err != nil {
							t.Error(err)
							return
						}
						var wg sync.WaitGroup
						wg.Go(func() {
							n, err := io.Copy(io.Discard, resp.Body)
							if err == nil && n != 32<<10 {
								t.Errorf("a response ended after %d bytes as if it were whole", n)
							}
						})
						wg.Go(func() {
							for range i % 8 {
								runtime.Gosched()
							}
							resp.Body.Close()
						})
						wg.Go(func() { resp.Body.Close() })
						wg.Wait()
						if _, err := resp.Body.Read(make([]byte, 1)); err == nil {
							t.Error("a closed body can be read")
						}
					}
				})
			}
			callers.Wait()
			stop.Store(true)
			collector.Wait()
			shutdown(t, tr)
			if n := tr.Stats().Leaks; n != 0 {
				t.Errorf("%d leaks, want none", n)
			}
		})
	}
}
