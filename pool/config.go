package pool

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-cleanhttp"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/metrics"
)

const (
	defaultIdleTimeout = 90 * time.Second
	defaultMaxDials    = 64
)

// config is a Transport's settings with every default resolved.
type config struct {
	err error // of the fields

	dialer *dialer.Dialer // makes or adopts the connections
	meter  *metrics.Meter

	life context.Context // ends at Shutdown, and with it the dials
	stop context.CancelFunc

	any   *http.Transport                       // makes connections of any protocol; with pingHTTP2, copies of it do
	h1    *http.Transport                       // makes HTTP/1.1 connections only, for upgrades
	proxy func(*http.Request) (*url.URL, error) // or nil

	maxConns, maxIdle, maxIdleAll, maxWaiters, maxDials int // 0: unlimited
	minConns                                            int
	maxRequests                                         int // 0: unlimited
	idle, maxAge, longBody, youth                       time.Duration
	closeAlways                                         bool // each request is its connection's last
	h2c                                                 bool // "http" is HTTP/2
	oneHTTP2                                            bool // requests wait for a stream rather than for another connection
	pingHTTP2                                           bool // each HTTP/2 connection has a Transport of its own
	foreignHTTP, foreignHTTPS                           bool // Base has a protocol of the user's own for it
}

// init resolves the settings, once.
func (t *Transport) init() error {
	t.once.Do(func() { t.cfg.resolve(t) })
	return t.cfg.err
}

func (c *config) resolve(t *Transport) {
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"MaxConnsPerHost", int64(t.MaxConnsPerHost)},
		{"MinConnsPerHost", int64(t.MinConnsPerHost)},
		{"MaxWaiters", int64(t.MaxWaiters)},
		{"MaxDialsPerHost", int64(t.MaxDialsPerHost)},
		{"MaxAge", int64(t.MaxAge)},
		{"MaxRequests", int64(t.MaxRequests)},
		{"LongBody", int64(t.LongBody)},
	} {
		if f.value < 0 {
			c.err = &ConfigError{f.name, f.value}
			return
		}
	}
	if t.Order > FIFO {
		c.err = &ConfigError{"Order", t.Order}
		return
	}
	if c.err = t.Ping.check(); c.err != nil {
		return
	}

	base := t.Base
	if base == nil {
		// Not cleanhttp.DefaultTransport, which has no keep-alive; and not its
		// caps on resting connections, which would have us close what the
		// next burst needs.
		base = cleanhttp.DefaultPooledTransport()
		base.MaxIdleConns, base.MaxIdleConnsPerHost = 0, 0
	}
	c.resolveDialer(t)
	if c.err = errors.Join(c.dialer.Closer().Policy.Check(), c.meter.Check()); c.err != nil {
		return
	}
	c.life, c.stop = context.WithCancel(context.Background())
	t.none = make(chan struct{})

	c.maxConns = cmpOr(t.MaxConnsPerHost, max(0, base.MaxConnsPerHost))
	c.maxIdle = cmpOr(t.MaxIdlePerHost, base.MaxIdleConnsPerHost)
	c.maxIdleAll = max(0, base.MaxIdleConns)
	c.closeAlways = base.DisableKeepAlives || c.maxIdle < 0
	c.maxIdle = max(0, c.maxIdle)
	c.maxWaiters = t.MaxWaiters
	c.minConns = t.MinConnsPerHost
	c.maxDials = cmpOr(t.MaxDialsPerHost, defaultMaxDials)
	c.maxAge, c.maxRequests = t.MaxAge, t.MaxRequests
	if c.closeAlways {
		c.maxRequests, c.maxIdle, c.minConns = 1, 0, 0
	}
	for _, limit := range []int{c.maxConns, c.maxIdle, c.maxIdleAll} {
		if limit > 0 {
			c.minConns = min(c.minConns, limit) // what may not rest is not kept
		}
	}
	c.idle = max(0, cmpOr(t.IdleTimeout, cmpOr(base.IdleConnTimeout, defaultIdleTimeout)))
	c.longBody, c.youth = t.LongBody, youth
	if c.longBody > 0 {
		c.youth = min(youth, c.longBody)
	}
	c.proxy = base.Proxy

	c.foreignHTTP, c.foreignHTTPS = registered(base, "http"), registered(base, "https")
	c.any = t.inner(base)
	c.h1 = httpOneOnly(c.any)
	c.pingHTTP2 = pingsHTTP2(c.any) && (c.any.Protocols.HTTP2() || c.any.Protocols.UnencryptedHTTP2())
	c.oneHTTP2 = c.any.HTTP2 != nil && c.any.HTTP2.StrictMaxConcurrentRequests
	c.h2c = c.any.Protocols.UnencryptedHTTP2() && !c.any.Protocols.HTTP1()
	if t.Logger != nil && c.any.Protocols.HTTP2() && !c.foreignHTTPS && foreignHTTP2(base) {
		t.Logger.Warn("HTTP/2 set up by another package is replaced by net/http's: only Base.HTTP2 has settings for it")
	}
}

// foreignHTTP2 reports whether base was given an HTTP/2 that is not net/http's
// own, as golang.org/x/net/http2 does. Its settings are out of reach.
func foreignHTTP2(base *http.Transport) bool {
	upgrade := base.TLSNextProto["h2"]
	if upgrade == nil {
		return false
	}
	f := runtime.FuncForPC(reflect.ValueOf(upgrade).Pointer())
	return f != nil && !strings.HasPrefix(f.Name(), "net/http.") && !strings.HasPrefix(f.Name(), "net/http/")
}

// cmpOr returns v, or def if v is zero.
func cmpOr[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func (c *config) resolveDialer(t *Transport) {
	c.dialer = t.Dialer
	c.meter = t.Meter
	if c.dialer == nil {
		c.dialer = &t.own
		t.own.Logger = t.Logger
		if t.Base == nil {
			// As cleanhttp, and so net/http, dials.
			t.own.Net.Timeout = 30 * time.Second
			t.own.Net.KeepAlive = 30 * time.Second
		}
	}
	if c.meter == nil {
		c.meter = c.dialer.Meter
	}
	if c.meter == nil {
		c.meter = &t.meter
	}
}

// inner returns an http.Transport with base's settings that makes single
// connections for the pool. What the pool does itself is switched off in it:
// a limit on connections would even have it panic when one is closed.
func (t *Transport) inner(base *http.Transport) *http.Transport {
	in := copySettings(base)
	in.MaxConnsPerHost, in.MaxIdleConns, in.MaxIdleConnsPerHost = 0, 0, 0
	in.IdleConnTimeout, in.DisableKeepAlives = 0, false

	// Where HTTP/2 is on is decided by fields that are about to change, so it
	// is decided here, as http.Transport decides it.
	in.Protocols = protocols(base)
	delete(in.TLSNextProto, "h2") // leads to base's own pool
	delete(in.TLSNextProto, "unencrypted_http2")
	adaptProtocols(in.TLSNextProto)
	t.Ping.apply(in)

	in.Proxy = nil
	if base.Proxy != nil {
		// The pool has asked base.Proxy about the real request.
		in.Proxy = func(r *http.Request) (*url.URL, error) { return birthOf(r.Context()).proxy, nil }
	}
	in.Dial, in.DialTLS = nil, nil
	in.DialContext = t.dialContext(base)
	in.DialTLSContext = t.dialTLSContext(base)
	return in
}

// copySettings copies the exported fields. Clone would not do: it has the
// original set up its HTTP/2 first, which changes fields of it.
func copySettings(base *http.Transport) *http.Transport {
	in := new(http.Transport)
	from, to := reflect.ValueOf(base).Elem(), reflect.ValueOf(in).Elem()
	for i := range from.NumField() {
		if from.Type().Field(i).IsExported() {
			to.Field(i).Set(from.Field(i))
		}
	}
	if in.TLSClientConfig != nil {
		in.TLSClientConfig = in.TLSClientConfig.Clone()
		// The copy shares this array, to which net/http appends.
		in.TLSClientConfig.NextProtos = slices.Clip(in.TLSClientConfig.NextProtos)
	}
	if in.HTTP2 != nil {
		in.HTTP2 = new(*in.HTTP2)
	}
	in.ProxyConnectHeader = in.ProxyConnectHeader.Clone()
	in.TLSNextProto = maps.Clone(in.TLSNextProto)
	return in
}

// protocols returns the protocols that base speaks, by http.Transport's rules.
func protocols(base *http.Transport) *http.Protocols {
	if base.Protocols != nil {
		return new(*base.Protocols)
	}
	p := new(http.Protocols)
	p.SetHTTP1(true)
	custom := base.TLSClientConfig != nil || base.Dial != nil || base.DialContext != nil ||
		base.DialTLS != nil || base.DialTLSContext != nil
	switch {
	case base.TLSNextProto != nil:
		p.SetHTTP2(base.TLSNextProto["h2"] != nil)
	case custom && !base.ForceAttemptHTTP2:
		// A user's own TLS settings or dialer keep to HTTP/1.1 unless they say otherwise.
	default:
		p.SetHTTP2(true)
	}
	return p
}

// httpOneOnly returns a copy that offers no HTTP/2: an upgrade to WebSocket
// needs a connection without it.
func httpOneOnly(in *http.Transport) *http.Transport {
	h1 := copySettings(in)
	h1.Protocols = new(http.Protocols)
	h1.Protocols.SetHTTP1(true)
	h1.HTTP2 = nil
	h1.ForceAttemptHTTP2 = false
	h1.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	if h1.TLSClientConfig != nil {
		h1.TLSClientConfig.NextProtos = nil
	}
	return h1
}
