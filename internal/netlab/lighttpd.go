package netlab

import (
	"fmt"
	"net/netip"
)

// Lighttpd is lighttpd. Its TLS is a package of its own in Debian and not used.
var Lighttpd = Program{Name: "lighttpd", install: "apt-get install lighttpd", serve: serveLighttpd}

func serveLighttpd(s *site) {
	s.Plain, s.H2C = s.lab.address(), s.lab.address()
	// Both addresses speak both protocols; there is a second one so that a
	// test cannot take the one for the other.
	conf := s.write("lighttpd.conf", fmt.Appendf(nil, `
server.document-root = "%s"
server.bind = "%v"
server.port = %v
server.errorlog = "%s/error.log"
server.upload-dirs = ( "%[4]s" )
server.max-keep-alive-idle = %d
server.max-keep-alive-requests = 65000
server.max-read-idle = 3600
server.max-write-idle = 3600
server.feature-flags = ( "server.h2proto" => "enable", "server.h2c" => "enable" )
index-file.names = ( "index.html" )
$SERVER["socket"] == "%v" { }
`, s.www, s.Plain.Addr(), s.Plain.Port(), s.dir, s.cfg.seconds(), s.H2C))
	s.run([]netip.AddrPort{s.Plain, s.H2C}, "-D", "-f", conf)
}
