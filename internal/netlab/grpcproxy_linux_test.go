package netlab

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/lastack/lastack/internal/sockdiag"
)

// The proxies of gRPC pass on every HTTP/2 request, and end well when they are
// asked to.
func TestProxyGRPC(t *testing.T) {
	for name, through := range map[string]func(netip.AddrPort) Program{"nginx": NginxGRPC, "haproxy": HAProxyGRPC} {
		t.Run(name, func(t *testing.T) {
			Run(t, func(lab *Lab) {
				backend := lab.Start(t, Nginx, Config{})
				check := Leaks(t)
				proxy := lab.Start(t, through(backend.H2C), Config{})
				var clients []*http.Client
				for _, e := range proxy.endpoints() {
					if e.major != 2 {
						continue
					}
					c := e.client(t)
					clients = append(clients, c)
					if n := e.get(t, c, "/64k"); n != FileSize {
						t.Errorf("%s: %d bytes", e.name, n)
					}
					if s := lab.States(t, e.addr); s.Client.By[sockdiag.Established] != 1 {
						t.Errorf("%s: %v", e.name, s)
					}
				}
				// HAProxy waits for connections at rest.
				for _, c := range clients {
					c.CloseIdleConnections()
				}
				if err := proxy.Quit(); err != nil {
					t.Fatal(err)
				}
				for _, p := range proxy.processes {
					Eventually(t, startWait, "it ends by itself", func() bool {
						select {
						case <-p.gone:
							return true
						default:
							return false
						}
					})
				}
				check()
			})
		})
	}
}

// To kill such a server ends its workers with it.
func TestProxyGRPCKilled(t *testing.T) {
	Run(t, func(lab *Lab) {
		proxy := lab.Start(t, NginxGRPC(netip.MustParseAddrPort("127.0.0.1:1")), Config{})
		proxy.Stop()
		Eventually(t, settle, "no worker holds a listener", func() bool {
			return processSockets(t, sockdiag.Listen.Mask()) == 0
		})
	})
}
