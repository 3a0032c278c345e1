package netlab

import (
	"fmt"
	"net/netip"
	"testing"
)

// HAProxy is HAProxy, which answers by itself.
var HAProxy = Program{Name: "haproxy", install: "apt-get install haproxy", serve: serveHAProxy}

// The buffer must hold the answer with the large file.
const haproxyGlobal = `
global
	maxconn 4096
	tune.bufsize 131072
	nbthread 1
defaults
	timeout connect 10s
	timeout client 1h
	timeout server 1h
`

func serveHAProxy(s *site) {
	s.Plain, s.TLS, s.H2C = s.lab.address(), s.lab.address(), s.lab.address()
	conf := s.write("haproxy.cfg", fmt.Appendf(nil, haproxyGlobal+`
frontend web
	mode http
	timeout client %ds
	timeout http-keep-alive %[1]ds
	bind %v
	bind %v ssl crt both.pem alpn h2,http/1.1
	bind %v proto h2
	http-request return status 200 content-type text/plain file www/64k if { path /64k }
	http-request return status 200 content-type text/plain file www/index.html
`, s.cfg.seconds(), s.Plain, s.TLS, s.H2C))
	s.run([]netip.AddrPort{s.Plain, s.TLS, s.H2C}, "-db", "-f", conf)
}

// ProxyTCP puts HAProxy in front of a backend, in TCP mode, and returns its
// address. Such a proxy does not know what it carries: it drops what it holds
// when a reset comes. Its buffers are large, so that it holds much when the
// backend is slow.
func (lab *Lab) ProxyTCP(t testing.TB, backend netip.AddrPort) netip.AddrPort {
	t.Helper()
	return lab.Start(t, Program{Name: HAProxy.Name, install: HAProxy.install, serve: func(s *site) {
		s.Plain = s.lab.address()
		conf := s.write("haproxy.cfg", fmt.Appendf(nil, haproxyGlobal+`
global
	tune.sndbuf.server 1048576

listen relay
	mode tcp
	bind %v
	server backend %v
`, s.Plain, backend))
		s.run([]netip.AddrPort{s.Plain}, "-db", "-f", conf)
	}}, Config{}).Plain
}
