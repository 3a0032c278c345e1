package pool

import (
	"net/http"
	"time"
)

// A PingConfig says how connections are kept alive beyond TCP's own keep-alive
// (which is the Dialer's: Net.KeepAliveConfig, and UserTimeout for data that
// nobody acknowledges). The zero PingConfig sends no pings.
type PingConfig struct {
	// Interval is how long nothing may come from the server before it is
	// pinged. HTTP/2 connections, busy or resting, are sent PING; a server may
	// punish pings that come too often (gRPC servers: more than one in five
	// minutes).
	// If zero, nothing is pinged. Base.HTTP2.SendPingTimeout, if set, comes first
	// for HTTP/2.
	Interval time.Duration

	// Timeout is how long an answer may take before the connection is given up.
	// If zero, it is 15 seconds.
	Timeout time.Duration

	// HTTP1 has resting HTTP/1.1 connections pinged as well, by a request that
	// servers answer without work. It keeps NATs and firewalls on the way from
	// forgetting the connection, and the server from closing it. It does not
	// count as use: IdleTimeout goes on.
	HTTP1 bool

	// Path is what the HTTP/1.1 ping asks for, with HEAD.
	// If empty, the ping is "OPTIONS *" (RFC 9110 section 9.3.7).
	Path string
}

func (p PingConfig) check() error {
	switch {
	case p.Interval < 0:
		return &ConfigError{"Ping.Interval", p.Interval}
	case p.Timeout < 0:
		return &ConfigError{"Ping.Timeout", p.Timeout}
	case p.Path != "" && p.Path[0] != '/':
		return &ConfigError{"Ping.Path", p.Path}
	}
	return nil
}

// timeout returns the time for an answer.
func (p PingConfig) timeout() time.Duration { return cmpOr(p.Timeout, 15*time.Second) }

// pingsHTTP1 reports whether resting HTTP/1.1 connections are pinged.
func (p PingConfig) pingsHTTP1() bool { return p.HTTP1 && p.Interval > 0 }

// apply has the HTTP/2 of in send pings.
func (p PingConfig) apply(in *http.Transport) {
	if p.Interval == 0 {
		return
	}
	if in.HTTP2 == nil {
		in.HTTP2 = new(http.HTTP2Config)
	}
	in.HTTP2.SendPingTimeout = cmpOr(in.HTTP2.SendPingTimeout, p.Interval)
	in.HTTP2.PingTimeout = cmpOr(in.HTTP2.PingTimeout, p.timeout())
}
