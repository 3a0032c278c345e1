package netlab

import (
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/sockdiag"
)

func TestProxyTCP(t *testing.T) {
	Run(t, func(lab *Lab) {
		srv := lab.Start(t, Nginx, Config{})
		for _, backend := range srv.endpoints() {
			proxied := backend
			proxied.addr = lab.ProxyTCP(t, backend.addr)
			proxied.url = strings.Replace(backend.url, backend.addr.String(), proxied.addr.String(), 1)
			c := proxied.client(t)
			if n := proxied.get(t, c, "/64k"); n != FileSize {
				t.Errorf("%s: %d bytes", proxied.name, n)
			}
			// The proxy holds a connection of its own to the backend.
			if s := lab.States(t, backend.addr); s.Client.By[sockdiag.Established] != 1 {
				t.Errorf("to the backend: %v", s)
			}
			c.CloseIdleConnections()
			Eventually(t, settle, "the proxy passes the end on", func() bool {
				return lab.States(t, backend.addr).Client.By[sockdiag.Established] == 0
			})
		}
	})
}

// A server that lets a connection rest for a second closes it then, and the
// proxy passes that on, and pays for it.
func TestProxyTCPServerClosesFirst(t *testing.T) {
	Run(t, func(lab *Lab) {
		srv := lab.Start(t, Nginx, Config{KeepAlive: time.Second})
		e := srv.endpoints()[0]
		e.addr = lab.ProxyTCP(t, srv.Plain)
		e.url = "http://" + e.addr.String()
		e.open(t, e.client(t), 4)
		wantTimeWaits(t, lab, e.addr, 0, 4)
		wantTimeWaits(t, lab, srv.Plain, 0, 4)
	})
}
