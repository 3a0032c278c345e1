package pool

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/linger"
)

// TestKernelFixedPorts: a pool with a few fixed ports, of which each request
// takes one, has its requests wait for them. None fails.
func TestKernelFixedPorts(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, port, err := net.SplitHostPort(r.RemoteAddr)
			if err != nil || len(port) != 5 || port[:4] != "1000" {
				t.Errorf("a request from %v", r.RemoteAddr)
			}
			io.WriteString(w, "hello")
		}))
		defer srv.Close()
		for _, fallback := range []linger.Fallback{linger.Plain, linger.FinThenReset} {
			tr := &Transport{
				Base:        &http.Transport{},
				MaxRequests: 1,
				Dialer: &dialer.Dialer{
					FixedPorts: dialer.PortRange{Lo: 10000, Hi: 10007},
					Linger:     &linger.Closer{Policy: linger.Policy{Fallback: fallback}},
				},
			}
			var wg sync.WaitGroup
			for range 24 {
				wg.Go(func() {
					if got := get(t, tr, srv.URL); got != "hello" {
						t.Errorf("got %q", got)
					}
				})
			}
			wg.Wait()
			shutdown(t, tr)
			t.Logf("%v: %d dials failed, %d requests waited", fallback, tr.Stats().DialErrors, tr.Stats().Waits)
		}
	}, netlab.PortRange(20000, 20999))
}
