package pool

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"github.com/lastack/lastack/internal/birth"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// A dialBirth goes with a dial through net/http, by its context: it takes in
// what the pool decided and brings back what net/http does not tell.
type dialBirth struct {
	proxy *url.URL
	host  *metrics.Host
	watch bool // the ending is an Event

	dialled string // why

	raw   net.Conn      // as net/http got it
	conn  *linger.Conn  // below raw, or nil if nobody can end it well
	life  *metrics.Conn // its ledger entry
	told  *observedLife // or nil
	proto string        // that TLS has negotiated
	ping  time.Duration // how long nothing may come before HTTP/2 sends PING
}

type birthKey struct{}

func birthOf(ctx context.Context) *dialBirth {
	b, _ := ctx.Value(birthKey{}).(*dialBirth)
	return b
}

// account makes the ledger entry of the connection being dialled.
func (b *dialBirth) account(c *linger.Conn) linger.Account {
	b.life = b.host.Born(true)
	b.life.SetAddrs(c.LocalAddr(), c.RemoteAddr())
	b.life.SetDialed(b.dialled)
	if b.watch {
		b.told = &observedLife{Conn: b.life}
		return b.told
	}
	return b.life
}

// dial makes a connection for the group. It is not bound to the context of the
// request that it began for, whose values it takes: a connection that is paid
// for joins the pool.
func (g *group) dial(ctx, values context.Context, why string) (*conn, error) {
	t := g.t
	b := &dialBirth{proxy: g.proxy, host: g.host, watch: t.observes(Ended)}
	ctx = dialContext{ctx, values}
	ctx = context.WithValue(ctx, birthKey{}, b)
	var p phases
	ctx = httptrace.WithClientTrace(ctx, p.trace())
	in := t.cfg.any
	switch {
	case g.key.HTTP1:
		in = t.cfg.h1
	case t.cfg.pingHTTP2:
		in = ofItsOwn(in, t.calm.of(g.key))
		b.ping = in.HTTP2.SendPingTimeout
	}
	started := time.Now()
	b.dialled = g.host.DialStart(why)
	cc, err := in.NewClientConn(ctx, g.key.Scheme, g.target)
	took := time.Since(started)
	var d metrics.Dial
	d, b.proto = p.of(metrics.Dial{Reason: b.dialled, Total: took, Err: err})
	g.host.DialDone(d)
	if err != nil {
		// net/http has closed it, and once is enough for a user's own, unless
		// it is NewClientConn itself that can't use the protocol negotiated.
		if b.conn != nil || b.raw != nil && strings.Contains(err.Error(), "NewClientConn") {
			b.raw.Close()
		}
		if b.life != nil && b.conn == nil {
			b.life.Ended(linger.Unknown, false)
		}
		return nil, err
	}
	c := g.newConn(cc, b)
	if t.observes(Born) {
		ev := c.event(Born)
		ev.Took = took
		t.emit(ev)
	}
	if b.told != nil {
		b.told.joined(c)
	}
	return c, nil
}

// A dialContext has the values of one context and the end of another.
type dialContext struct {
	context.Context
	values context.Context
}

func (c dialContext) Value(k any) any {
	if v := c.Context.Value(k); v != nil {
		return v
	}
	return c.values.Value(k)
}

// dialContext returns the DialContext of the inner transport.
func (t *Transport) dialContext(base *http.Transport) func(context.Context, string, string) (net.Conn, error) {
	dial := t.cfg.dialer.DialContext
	switch {
	case t.Dialer != nil:
	case t.Base != nil && base.DialContext != nil:
		dial = cancelledLate(base.DialContext)
	case t.Base != nil && base.Dial != nil:
		dial = func(_ context.Context, network, addr string) (net.Conn, error) { return base.Dial(network, addr) }
	}
	return t.adopting(dial)
}

// dialTLSContext returns the DialTLSContext of the inner transport, or nil if
// base leaves TLS to net/http.
func (t *Transport) dialTLSContext(base *http.Transport) func(context.Context, string, string) (net.Conn, error) {
	dial := base.DialTLSContext
	if dial == nil && base.DialTLS != nil {
		dial = func(_ context.Context, network, addr string) (net.Conn, error) { return base.DialTLS(network, addr) }
	}
	if dial == nil {
		return nil
	}
	return t.adopting(dial)
}

// lateness is how long a dial may go on after its cancellation.
const lateness = 50 * time.Millisecond

// cancelledLate returns dial, cancelled a moment later than its context, for a
// dialer that is not ours. If it were cancelled the moment that it has connected
// it would close the connection plainly, and nobody could end that well. What
// the moment brings is left to the caller, whose own context has ended: net/http
// closes it.
func cancelledLate(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		defer cancel(nil)
		defer context.AfterFunc(ctx, func() {
			timer := time.NewTimer(lateness)
			defer timer.Stop()
			select {
			case <-timer.C:
				cancel(context.Cause(ctx))
			case <-late.Done():
			}
		})()
		return dial(late, network, addr)
	}
}

// adopting returns dial, with what it brings adopted.
func (t *Transport) adopting(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		b := birthOf(ctx)
		c, err := dial(birth.With(ctx, birth.Note{FinReset: true, Account: b.account}), network, addr)
		if err != nil || c == nil {
			return c, err
		}
		return t.adopt(b, c), nil
	}
}

// adopt makes c a connection that ends well, if it can: a bare TCP connection
// is wrapped; one that is wrapped already, also below TLS, is taken as it is.
func (t *Transport) adopt(b *dialBirth, c net.Conn) net.Conn {
	b.raw = c
	if tc, ok := c.(*net.TCPConn); ok {
		conn := t.cfg.dialer.Closer().Conn(tc)
		conn.SetAccount(b.account(conn))
		conn.PresetFinReset()
		b.raw = conn
	}
	if b.conn = lingerConn(b.raw); b.conn == nil || b.life == nil {
		// Somebody else's: it is counted, but nobody sees how it ends.
		b.conn, b.life = nil, b.host.Born(false)
		b.life.SetAddrs(addrs(b.raw))
		b.life.SetDialed(b.dialled)
		return b.raw
	}
	b.conn.Tell(linger.Abandoned) // until it has become a connection of the pool
	return b.raw
}

// addrs asks somebody else's connection for its addresses. http.Transport never
// does, and so serves connections that embed a net.Conn which is nil, and panic
// when they are asked. Those have none.
func addrs(c net.Conn) (local, remote net.Addr) {
	defer func() {
		if recover() != nil {
			local, remote = nil, nil
		}
	}()
	return c.LocalAddr(), c.RemoteAddr()
}

// lingerConn returns the Conn at or below c, or nil.
func lingerConn(c net.Conn) *linger.Conn {
	for {
		switch x := c.(type) {
		case *linger.Conn:
			return x
		case interface{ NetConn() net.Conn }:
			c = x.NetConn()
		default:
			return nil
		}
	}
}
