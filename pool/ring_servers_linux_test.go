package pool

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/linger"
)

// TestKernelRealServers: idle expiry and the last request's goodbye, with
// servers that people run. With SparePeer neither side keeps a TIME_WAIT.
func TestKernelRealServers(t *testing.T) {
	spare := &linger.Policy{SparePeer: true, Wait: 10 * time.Second} // on a machine that is busy
	scenes := []scene{
		{name: "idle expiry", tune: idleSoon, play: restAndEnd},
		{name: "idle expiry, SparePeer", tune: idleSoon, play: restAndEnd, policy: spare, both: true},
		{name: "last request", tune: oneRequest, play: restAndEnd},
		{name: "last request, SparePeer", tune: oneRequest, play: restAndEnd, policy: spare, both: true},
	}
	for _, p := range netlab.Programs() {
		t.Run(p.Name, func(t *testing.T) {
			for i := range scenes {
				scenes[i].server = func(s *stage) { s.use(s.lab.Start(s.t, p, netlab.Config{})) }
				scenes[i].protos = spoken[p.Name]
			}
			playAll(t, scenes)
		})
	}
}

// spoken is what each server can be talked to in.
var spoken = map[string][]string{
	"nginx":    protos,
	"haproxy":  protos,
	"apache2":  protos,
	"lighttpd": plain1, // its TLS is a package of its own
	"caddy":    protos,
	"nghttpd":  {"h2", "h2c"},
}

func idleSoon(s *stage) {
	s.pool.IdleTimeout = 300 * time.Millisecond
	s.stock.IdleConnTimeout = 300 * time.Millisecond
}

func oneRequest(s *stage) {
	s.pool.MaxRequests = 1
	s.stock.DisableKeepAlives = true
}

func restAndEnd(s *stage) { s.open(); s.awaitEnd() }

func at(server *netlab.Server, proto string) netip.AddrPort {
	switch proto {
	case "http":
		return server.Plain
	case "h2c":
		return server.H2C
	}
	return server.TLS
}

// use makes the stage's server one that runs already.
func (s *stage) use(server *netlab.Server) {
	a := at(server, s.proto)
	if !a.IsValid() {
		s.t.Fatalf("%s does not speak %s", server.Name, s.proto)
	}
	s.addr = netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port())
	scheme := "http"
	if strings.HasPrefix(s.proto, "https") || s.proto == "h2" {
		scheme = "https"
		s.base.TLSClientConfig = &tls.Config{RootCAs: server.Roots, ServerName: "localhost"}
	}
	if s.proto == "h2" || s.proto == "h2c" {
		s.fan = make([]http.RoundTripper, ringConns) // it has one address
	}
	s.base.Protocols = speaking(s.proto)
	s.url = fmt.Sprintf("%s://127.0.0.1:%d", scheme, a.Port())
}
