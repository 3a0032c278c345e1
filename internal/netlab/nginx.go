package netlab

import (
	"fmt"
	"net/netip"
)

// Nginx is nginx.
var Nginx = Program{Name: "nginx", install: "apt-get install nginx-light", serve: serveNginx}

func serveNginx(s *site) {
	s.Plain, s.TLS, s.H2C = s.lab.address(), s.lab.address(), s.lab.address()
	conf := s.write("nginx.conf", fmt.Appendf(nil, `
daemon off;
master_process off;
user root root;
pid nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	keepalive_timeout %ds;
	keepalive_requests 1000000;
	root www;
	server { listen %v; }
	server { listen %v http2; }
	server {
		listen %v ssl http2;
		ssl_certificate cert.pem;
		ssl_certificate_key key.pem;
	}
}
`, s.cfg.seconds(), s.Plain, s.H2C, s.TLS))
	s.run([]netip.AddrPort{s.Plain, s.TLS, s.H2C}, "-e", "stderr", "-p", s.dir, "-c", conf)
}
