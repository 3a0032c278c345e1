package netlab

import (
	"fmt"
	"net/netip"
	"syscall"
)

// NginxGRPC is nginx in front of a gRPC server that speaks plaintext. It passes
// on what comes to its H2C and TLS addresses.
func NginxGRPC(backend netip.AddrPort) Program {
	return Program{Name: Nginx.Name, install: Nginx.install, serve: func(s *site) {
		s.H2C, s.TLS = s.lab.address(), s.lab.address()
		s.quit = syscall.SIGQUIT
		// Without a master the worker knows no graceful end.
		s.family = true
		conf := s.write("nginx.conf", fmt.Appendf(nil, `
daemon off;
worker_processes 1;
user root root;
pid nginx.pid;
error_log stderr warn;
events { worker_connections 8192; }
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	keepalive_timeout %ds;
	client_body_timeout 1h;
	grpc_read_timeout 1h;
	grpc_send_timeout 1h;
	server {
		listen %v http2;
		listen %v ssl http2;
		ssl_certificate cert.pem;
		ssl_certificate_key key.pem;
		location / { grpc_pass grpc://%v; }
	}
}
`, s.cfg.seconds(), s.H2C, s.TLS, backend))
		s.run([]netip.AddrPort{s.H2C, s.TLS}, "-e", "stderr", "-p", s.dir, "-c", conf)
	}}
}

// HAProxyGRPC is HAProxy in front of a gRPC server that speaks plaintext. It
// passes on what comes to its H2C and TLS addresses.
func HAProxyGRPC(backend netip.AddrPort) Program {
	return Program{Name: HAProxy.Name, install: HAProxy.install, serve: func(s *site) {
		s.H2C, s.TLS = s.lab.address(), s.lab.address()
		s.quit = syscall.SIGUSR1
		conf := s.write("haproxy.cfg", fmt.Appendf(nil, haproxyGlobal+`
frontend grpc
	mode http
	timeout http-keep-alive %ds
	bind %v proto h2
	bind %v ssl crt both.pem alpn h2
	default_backend grpc
backend grpc
	mode http
	server grpc %v proto h2
`, s.cfg.seconds(), s.H2C, s.TLS, backend))
		s.run([]netip.AddrPort{s.H2C, s.TLS}, "-db", "-f", conf)
	}}
}

// Quit has a server of [NginxGRPC] or [HAProxyGRPC] end gracefully, and does
// not wait for that.
func (s *Server) Quit() error {
	for _, p := range s.processes {
		if err := p.cmd.Process.Signal(s.quit); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return nil
}
