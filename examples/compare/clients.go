package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-cleanhttp"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/pool"
)

// A client is one of those that are compared.
type client struct {
	transport transport
	end       func(context.Context) error // as a user who exits would end it
}

// A transport is what all of them are.
type transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

// A team makes the clients of one row. There is one, but for the work "churn",
// in which each serves a few requests. They count together.
type team struct {
	make  func() *client
	dials atomic.Int64            // successful ones; counted with -url only
	stats func() metrics.Snapshot // or nil: the client keeps no account
}

// A contender is a kind of client.
type contender struct {
	name string
	team func(*settings, *tls.Config) *team
}

// contenders are all that are compared. The last one's account is printed.
var contenders = []contender{
	{"http.DefaultTransport", stock(defaultTransport)},
	{"http.Transport, tuned", stock(tuned)},
	{"cleanhttp.DefaultTransport", stock(cleanhttp.DefaultTransport)},
	{"cleanhttp.DefaultPooledTransport", stock(cleanhttp.DefaultPooledTransport)},
	{"http.DefaultTransport over dialer", overDialer},
	{"pool.Transport", pooled},
}

// defaultTransport returns a copy, so that no row finds another's connections.
func defaultTransport() *http.Transport {
	return http.DefaultTransport.(*http.Transport).Clone()
}

// tuned keeps every connection, which is what people do about TIME_WAIT.
func tuned() *http.Transport {
	t := defaultTransport()
	t.MaxIdleConns = 0 // unlimited
	t.MaxIdleConnsPerHost = 10_000
	return t
}

// stock makes clients of net/http.
func stock(transport func() *http.Transport) func(*settings, *tls.Config) *team {
	return func(s *settings, tc *tls.Config) *team {
		tm := &team{}
		tm.make = func() *client {
			t := transport()
			s.configure(t, tc)
			tm.countDials(s, t)
			return &client{t, func(context.Context) error { t.CloseIdleConnections(); return nil }}
		}
		return tm
	}
}

// overDialer makes clients of net/http whose connections a dialer.Dialer makes
// and ends: all that a program has to change is DialContext.
func overDialer(s *settings, tc *tls.Config) *team {
	tm := &team{}
	tm.make = func() *client {
		d := &dialer.Dialer{}
		t := defaultTransport()
		t.DialContext = d.DialContext
		s.configure(t, tc)
		tm.countDials(s, t)
		return &client{t, func(ctx context.Context) error {
			t.CloseIdleConnections()
			return d.Shutdown(ctx)
		}}
	}
	return tm
}

// pooled makes pool.Transports. In plaintext HTTP/1.1 they are the zero value;
// for the rest they need what any client needs: roots to trust, a protocol.
func pooled(s *settings, tc *tls.Config) *team {
	meter := &metrics.Meter{}
	tm := &team{stats: meter.Snapshot}
	tm.make = func() *client {
		t := &pool.Transport{Meter: meter}
		if s.tls || s.http2 {
			t.Base = cleanhttp.DefaultPooledTransport()
			t.Base.MaxIdleConns, t.Base.MaxIdleConnsPerHost = 0, 0 // as without a Base
			t.Base.DialContext = nil
			t.Dialer = &dialer.Dialer{Net: net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}}
			s.configure(t.Base, tc)
		}
		if s.work == idle {
			t.IdleTimeout = idleTimeout
		}
		return &client{t, t.Shutdown}
	}
	return tm
}

// configure gives a transport what all clients have in common.
func (s *settings) configure(t *http.Transport, tc *tls.Config) {
	t.Protocols = s.protocols()
	if s.tls {
		t.TLSClientConfig = tc.Clone()
	}
	if s.work == idle {
		t.IdleConnTimeout = idleTimeout
	}
}

// countDials counts the connections on this side where no server of ours does.
func (tm *team) countDials(s *settings, t *http.Transport) {
	if s.url == nil {
		return
	}
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err == nil {
			tm.dials.Add(1)
		}
		return c, err
	}
}

// dialled returns how many connections the clients have made.
func (tm *team) dialled() int {
	if tm.stats != nil {
		return int(tm.stats().Born)
	}
	return int(tm.dials.Load())
}
