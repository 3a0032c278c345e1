package pool

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"testing"
)

// stuck is a handler that begins a response and does not end it before the
// client has gone.
var stuck = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	w.Write([]byte("x"))
	w.(http.Flusher).Flush()
	<-r.Context().Done()
})

// begin sends a request to a stuck handler and reads what there is of the response.
func begin(t *testing.T, tr http.RoundTripper, req *http.Request) *http.Response {
	t.Helper()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return resp
}

// Request.Cancel gives the same error for each protocol.
func TestRequestCancel(t *testing.T) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			srv, base := newServer(t, proto, stuck)
			tr := &Transport{Base: base}
			defer shutdown(t, tr)
			req, _ := http.NewRequest(http.MethodGet, srv.URL, nil)
			cancel := make(chan struct{})
			req.Cancel = cancel
			resp := begin(t, tr, req)
			close(cancel)
			if _, err := resp.Body.Read(make([]byte, 1)); err != errCanceled() {
				t.Errorf("Read gave %v, want %v", err, errCanceled())
			}
		})
	}
}

// Requests that share a new HTTP/2 connection: one has it new, the others reuse it.
func TestReusedWhileFresh(t *testing.T) {
	srv, base := newServer(t, "h2", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	tr := &Transport{Base: base, MaxConnsPerHost: 1}
	defer shutdown(t, tr)
	var (
		mu    sync.Mutex
		fresh int
	)
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		mu.Lock()
		defer mu.Unlock()
		if !i.Reused {
			fresh++
		}
	}})
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
		})
	}
	wg.Wait()
	if s := tr.Stats(); fresh != 1 || s.Reused != 9 {
		t.Errorf("%d had a new connection, %d were reused; want 1, 9", fresh, s.Reused)
	}
}

// A response without a body is not lost when its connection is closed as it comes free.
func TestCloseMeetsResponse(t *testing.T) {
	const rounds, each = 50, 4
	for name, test := range map[string]struct {
		tune  func(*Transport)
		close func(*testing.T, *Transport)
	}{
		"CloseIdleConnections": {func(*Transport) {}, func(_ *testing.T, tr *Transport) { tr.CloseIdleConnections() }},
		"Shutdown":             {func(*Transport) {}, func(t *testing.T, tr *Transport) { shutdownQuietly(t, tr) }},
		"MaxIdlePerHost":       {func(tr *Transport) { tr.MaxIdlePerHost = 1 }, func(*testing.T, *Transport) {}},
	} {
		for _, proto := range []string{"http", "h2"} {
			t.Run(name+"/"+proto, func(t *testing.T) {
				entered, release := make(chan bool, each), make(chan bool)
				srv, base := newServer(t, proto, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
					entered <- true
					<-release
				}))
				for range rounds {
					tr := &Transport{Base: base}
					test.tune(tr)
					var wg sync.WaitGroup
					for range each {
						wg.Go(func() {
							req, _ := http.NewRequest(http.MethodPost, srv.URL, nil)
							resp, err := tr.RoundTrip(req)
							if err != nil {
								t.Error(err)
								return
							}
							resp.Body.Close()
						})
					}
					for range each {
						<-entered
					}
					wg.Go(func() { test.close(t, tr) })
					for range each {
						release <- true
					}
					wg.Wait()
					tr.CloseIdleConnections()
				}
			})
		}
	}
}
