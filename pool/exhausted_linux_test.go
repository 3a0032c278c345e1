package pool

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/internal/netlab"
)

// scarcePorts is how many local ports the namespaces of these tests have.
const scarcePorts = 20

// outsideRange starts a server whose own port is none of them.
func outsideRange(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:8000")
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(h)
	srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

// TestKernelWaitsForAPort: 60 callers share a range of 20 ports. With net/http
// most requests fail; in the pool all wait for their turn.
func TestKernelWaitsForAPort(t *testing.T) {
	for _, tt := range []struct {
		name string
		rt   interface {
			http.RoundTripper
			CloseIdleConnections()
		}
	}{
		{"net/http", &http.Transport{}},
		{"pool", &Transport{}},
		{"pool, one request per connection", &Transport{MaxRequests: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			netlab.Run(t, func(lab *netlab.Lab) {
				const callers, rounds = 60, 5
				var inside, failed atomic.Int64
				open := make(chan struct{})
				srv := outsideRange(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					inside.Add(1)
					<-open
				}))
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						for range rounds {
							resp, err := (&http.Client{Transport: tt.rt}).Get(srv.URL)
							if err != nil {
								failed.Add(1)
								continue
							}
							resp.Body.Close()
						}
					})
				}
				netlab.Eventually(t, 30*time.Second, "the ports are used up", func() bool { return inside.Load() == scarcePorts })
				close(open)
				wg.Wait()
				t.Logf("%d of %d requests failed", failed.Load(), callers*rounds)
				if tr, ours := tt.rt.(*Transport); !ours {
					if failed.Load() == 0 {
						t.Error("no request failed: the ports are not used up")
					}
					tt.rt.CloseIdleConnections()
				} else {
					if failed.Load() != 0 {
						t.Error("requests failed")
					}
					shutdown(t, tr)
				}
			}, netlab.PortRange(20000, 20000+scarcePorts-1))
		})
	}
}

// TestKernelOthersHaveThePorts: when another program has the ports, a request
// waits a moment for one of them, and then says who has them.
func TestKernelOthersHaveThePorts(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		srv := outsideRange(t, hello)
		address := srv.Listener.Addr().String()
		take := func() *net.TCPConn {
			c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			return c.(*net.TCPConn)
		}
		last := take()
		for range scarcePorts - 1 {
			take()
		}
		tr := &Transport{}
		result := make(chan error, 1)
		go func() {
			resp, err := (&http.Client{Transport: tr}).Get(srv.URL)
			if err == nil {
				resp.Body.Close()
			}
			result <- err
		}()
		netlab.Eventually(t, 10*time.Second, "a dial fails", func() bool { return tr.Stats().DialErrors > 0 })
		last.SetLinger(0)
		last.Close()
		if err := <-result; err != nil {
			t.Errorf("when a port came free: %v", err)
		}
		shutdown(t, tr)

		take()
		tr = &Transport{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = tr.RoundTrip(req)
		e, ok := errors.AsType[*dialer.Error](err)
		// Counts are rationed, so there may be none.
		if !ok || !errors.Is(err, dialer.ErrPortsExhausted) || e.States != nil && e.States["established"] != scarcePorts {
			t.Errorf("got %v", err)
		}
		t.Log(err)
		shutdown(t, tr)
	}, netlab.PortRange(20000, 20000+scarcePorts-1))
}
