package netlab

import (
	"fmt"
	"net/netip"
)

// Caddy is Caddy, whose HTTP is that of Go's net/http.
var Caddy = Program{Name: "caddy", install: "apt-get install caddy", serve: serveCaddy}

func serveCaddy(s *site) {
	s.Plain, s.TLS, s.H2C = s.lab.address(), s.lab.address(), s.lab.address()
	server := func(addr netip.AddrPort, protocols, more string) string {
		return fmt.Sprintf(`{
			"listen": ["%v"],
			"protocols": [%s],
			"idle_timeout": "%ds",
			"automatic_https": {"disable": true},
			"routes": [{"handle": [{"handler": "file_server", "root": %q}]}]%s
		}`, addr, protocols, s.cfg.seconds(), s.www, more)
	}
	conf := s.write("caddy.json", fmt.Appendf(nil, `{
	"admin": {"disabled": true, "config": {"persist": false}},
	"logging": {"logs": {"default": {"level": "WARN"}}},
	"apps": {
		"http": {"servers": {
			"plain": %s,
			"tls": %s,
			"h2c": %s
		}},
		"tls": {"certificates": {"load_files": [{"certificate": "cert.pem", "key": "key.pem"}]}}
	}
}`, server(s.Plain, `"h1"`, ""), server(s.TLS, `"h1", "h2"`, `, "tls_connection_policies": [{}]`), server(s.H2C, `"h1", "h2c"`, "")))
	s.run([]netip.AddrPort{s.Plain, s.TLS, s.H2C}, "run", "--config", conf)
}
