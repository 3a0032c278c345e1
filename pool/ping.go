package pool

import (
	"math/rand/v2"
	"net/http"
	"time"
)

// A PingConfig says how connections are kept alive beyond TCP's own keep-alive
// (which is the Dialer's: Net.KeepAliveConfig, and UserTimeout for data that
// nobody acknowledges). The zero PingConfig sends no pings.
//
// A connection whose peer has gone silent is found within Interval and Timeout,
// and reset. Requests under way on it are sent again on another connection
// where that is safe, and else fail with an error that is a timeout. An HTTP/1.1
// connection that is busy cannot be pinged: set Dialer.UserTimeout, which bounds
// how long a request may stay unacknowledged, and with Net.KeepAliveConfig also
// the wait for a response on a path that is dead.
//
// # Jitter
//
// Each connection has an interval of its own, between 80 and 100 % of Interval
// as chosen at its birth, so that connections born together are not pinged
// together.
//
// # gRPC servers
//
// By their defaults they allow one PING in five minutes while a call is under
// way, and one in two hours without, and answer the third that comes too early
// with GOAWAY ENHANCE_YOUR_CALM. A response makes them forget. So a host to
// which a gRPC request is sent (Content-Type application/grpc…), or which has
// said ENHANCE_YOUR_CALM to a request, gets on connections dialled from then on
// no more than one PING in five and a half minutes, and no more than three
// while a connection rests (for as long as IdleTimeout allows). After
// ENHANCE_YOUR_CALM the interval doubles also beyond that. A dead connection to
// such a host is found sooner by TCP: Dialer.UserTimeout.
type PingConfig struct {
	// Interval is how long nothing may come from the server before it is
	// pinged. HTTP/2 connections, busy or resting, are sent PING.
	// If zero, nothing is pinged. Base.HTTP2.SendPingTimeout, if set, comes first
	// for HTTP/2.
	Interval time.Duration

	// Timeout is how long an answer may take before the connection is given up.
	// If zero, it is 15 seconds. Base.HTTP2.PingTimeout, if set, comes first for
	// HTTP/2.
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
	if p.Interval == 0 && !pingsHTTP2(in) {
		return
	}
	if in.HTTP2 == nil {
		in.HTTP2 = new(http.HTTP2Config)
	}
	in.HTTP2.SendPingTimeout = cmpOr(in.HTTP2.SendPingTimeout, p.Interval)
	in.HTTP2.PingTimeout = cmpOr(in.HTTP2.PingTimeout, p.timeout())
}

// jittered returns a duration between 80 and 100 % of d.
func jittered(d time.Duration) time.Duration {
	if d <= 0 {
		return d
	}
	return d*8/10 + rand.N(d/5+1)
}

// pingsHTTP2 reports whether the HTTP/2 of in sends pings.
func pingsHTTP2(in *http.Transport) bool {
	return in.HTTP2 != nil && in.HTTP2.SendPingTimeout > 0
}

// ofItsOwn returns a copy of in that makes the one connection of a dial, whose
// interval between pings is its own. What the settings point to (a cache of TLS
// sessions, certificates) is shared.
//
// net/http's HTTP/2 takes the interval from its Transport, and in is never used
// itself, so that it can be copied at any time.
func ofItsOwn(in *http.Transport, least time.Duration) *http.Transport {
	own := copySettings(in)
	d := jittered(own.HTTP2.SendPingTimeout)
	if d < least {
		d = least + rand.N(least/5)
	}
	own.HTTP2.SendPingTimeout = d
	return own
}
