package netlab

import (
	"fmt"
	"net/netip"
)

// NginxHTTP is nginx as a reverse proxy in front of an HTTP/1.1 server. It
// passes on what comes to its Plain address: over connections that it keeps, or
// over one for each request, which then says "Connection: close".
func NginxHTTP(backend netip.AddrPort, keep bool) Program {
	return Program{Name: Nginx.Name, install: Nginx.install, serve: func(s *site) {
		s.Plain = s.lab.address()
		keepalive, connection := "", "close"
		if keep {
			keepalive, connection = "keepalive 1000; keepalive_timeout 1h;", `""`
		}
		conf := s.write("nginx.conf", fmt.Appendf(nil, `
daemon off;
master_process off;
user root root;
pid nginx.pid;
error_log stderr crit;
events { worker_connections 8192; }
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	keepalive_timeout %ds;
	large_client_header_buffers 4 64k;
	proxy_read_timeout 1h;
	upstream backend { server %v max_fails=0; %s }
	server {
		listen %v;
		location / {
			proxy_pass http://backend;
			proxy_http_version 1.1;
			proxy_set_header Connection %s;
			proxy_next_upstream off;
		}
	}
}
`, s.cfg.seconds(), backend, keepalive, s.Plain, connection))
		s.run([]netip.AddrPort{s.Plain}, "-e", "stderr", "-p", s.dir, "-c", conf)
	}}
}
