package pool

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/lastack/lastack/dialer"
)

// TestSources: connections come from the sources of the Dialer, to a server and
// to a proxy, as many from each.
func TestSources(t *testing.T) {
	for _, viaProxy := range []bool{false, true} {
		const callers = 8
		var (
			mu   sync.Mutex
			from = make(map[string]int)
			all  = make(chan struct{})
		)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			host, _, err := net.SplitHostPort(r.RemoteAddr)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			from[host]++
			n := 0
			for _, k := range from {
				n += k
			}
			if n == callers {
				close(all)
			}
			mu.Unlock()
			select {
			case <-all:
			case <-time.After(30 * time.Second):
			}
			io.WriteString(w, r.URL.String())
		}))
		base, target := &http.Transport{}, srv.URL+"/x"
		want := "/x"
		if viaProxy {
			proxy, err := url.Parse(srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			base.Proxy = http.ProxyURL(proxy)
			target = "http://elsewhere.test/x"
			want = target
		}
		d := &dialer.Dialer{Sources: []netip.Addr{netip.MustParseAddr("127.0.1.1"), netip.MustParseAddr("127.0.1.2")}}
		tr := &Transport{Base: base, Dialer: d}
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				if got := get(t, tr, target); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		}
		wg.Wait()
		if from["127.0.1.1"] != callers/2 || from["127.0.1.2"] != callers/2 {
			t.Errorf("via proxy %v: requests came from %v", viaProxy, from)
		}
		shutdown(t, tr)
		srv.Close()
	}
}
