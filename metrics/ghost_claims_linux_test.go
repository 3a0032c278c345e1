package metrics_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/pool"
)

// TestKernelClaims: where net/http's connections end in other ways than by its
// limits, the ghost claims no TIME_WAITs that the kernel does not hold for
// net/http.
func TestKernelClaims(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		for _, tt := range []struct {
			name   string
			answer http.HandlerFunc
			header http.Header // of the request
		}{
			{"responses closed unread", func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, strings.Repeat("x", 64<<10))
			}, nil},
			{"upgrades, and the server closes", func(w http.ResponseWriter, r *http.Request) {
				c, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: words\r\n\r\n")
			}, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"words"}}},
		} {
			theirs, ours := httptest.NewServer(tt.answer), httptest.NewServer(tt.answer)
			stock := http.DefaultTransport.(*http.Transport).Clone()
			stock.Proxy = nil
			tr := &pool.Transport{Base: stock.Clone()}
			burst := func(rt http.RoundTripper, url string) {
				var wg sync.WaitGroup
				for range 20 {
					wg.Go(func() {
						req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
						if err != nil {
							t.Error(err)
							return
						}
						maps.Copy(req.Header, tt.header)
						resp, err := rt.RoundTrip(req)
						if err != nil {
							t.Error(err)
							return
						}
						if resp.StatusCode == http.StatusSwitchingProtocols {
							io.Copy(io.Discard, resp.Body) // until the server closes
						}
						resp.Body.Close()
					})
				}
				wg.Wait()
			}
			for range 5 {
				burst(stock, theirs.URL)
				burst(tr, ours.URL)
			}
			stock.CloseIdleConnections()
			if err := tr.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			server := netip.MustParseAddrPort(theirs.Listener.Addr().String())
			lab.Settle(t, server, 10*time.Second)
			truth, _ := lab.TimeWaits(t, server)
			s := tr.Stats()
			if ghost := s.WouldHave[metrics.NetHTTPDefault]; ghost > uint64(truth) {
				t.Errorf("%s: the ghost claims %d TIME_WAITs; net/http has left %d", tt.name, ghost, truth)
			}
			if n := s.Reasons[metrics.Upgraded]; tt.header != nil && n != 100 {
				t.Errorf("%s: connections left for %v", tt.name, s.Reasons)
			}
			theirs.Close()
			ours.Close()
		}
	})
}
