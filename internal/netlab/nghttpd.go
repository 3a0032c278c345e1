package netlab

import (
	"net/netip"
	"strconv"
)

// Nghttpd is the server of nghttp2, which speaks HTTP/2 alone.
var Nghttpd = Program{Name: "nghttpd", install: "apt-get install nghttp2-server", serve: serveNghttpd}

func serveNghttpd(s *site) {
	s.TLS, s.H2C = s.lab.address(), s.lab.address()
	args := []string{"-a", s.TLS.Addr().String(), "-d", s.www}
	port := func(a netip.AddrPort) string { return strconv.Itoa(int(a.Port())) }
	s.run([]netip.AddrPort{s.TLS}, append(args, port(s.TLS), "key.pem", "cert.pem")...)
	s.run([]netip.AddrPort{s.H2C}, append(args, "--no-tls", port(s.H2C))...)
}
