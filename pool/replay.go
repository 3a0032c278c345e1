package pool

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"

	"github.com/lastack/lastack/metrics"
)

// maxAttempts bounds how often one request is sent.
const maxAttempts = 7

// try sends the request, again if that is safe and of use.
func (t *Transport) try(req *http.Request, key Key, proxy *url.URL) (*http.Response, error) {
	ctx, release := cancelable(req)
	out := newOutgoing(req, ctx)
	trace := httptrace.ContextClientTrace(ctx)
	var counted *metrics.Host // where the request is
	handed := false
	defer func() {
		if counted != nil && !handed {
			counted.Done()
		}
	}()
	for attempt := 1; ; {
		if ctx.Err() != nil {
			return nil, out.fail(release, context.Cause(ctx))
		}
		g, err := t.group(key, proxy)
		if err != nil {
			return nil, out.fail(release, err)
		}
		if counted == nil {
			counted = g.host
			counted.Request()
		}
		g.heedRequest(req)
		if trace != nil && trace.GetConn != nil {
			trace.GetConn(g.dialAddress())
		}
		l, err := g.lease(ctx, req)
		if err == errGroupDead {
			continue
		}
		if err != nil {
			return nil, out.fail(release, err)
		}
		if trace != nil && trace.GotConn != nil {
			trace.GotConn(l.info())
		}
		var resp *http.Response
		if err = l.refused; err == nil {
			resp, err = l.send(out.listen(ctx, l), out)
		}
		if err == nil {
			g.retries.succeeded()
			out.sent()
			resp.Request = req
			release.attach(resp)
			handed = true
			return l.hand(resp), nil
		}
		if attempt == maxAttempts || !out.replayable(err, l) || !t.mayRetry(key, proxy) {
			return nil, out.fail(release, l.explain(err))
		}
		if err := out.rewind(); err != nil {
			return nil, out.fail(release, err)
		}
		g.host.Retry()
		if t.observes(Replayed) {
			ev := l.c.event(Replayed)
			ev.Err = plain(err)
			t.emit(ev)
		}
		if attempt++; l.c.h2 && attempt > 2 {
			// A server that refuses streams is given time, as net/http does.
			if !pause(ctx, time.Millisecond<<(2*attempt)) {
				return nil, out.fail(release, context.Cause(ctx))
			}
		}
	}
}

// mayRetry takes a token from the host's budget. It looks the group up again:
// the connection that has failed may have been the last of the one before.
func (t *Transport) mayRetry(key Key, proxy *url.URL) bool {
	g, err := t.group(key, proxy)
	return err == nil && g.retries.spend()
}

// info tells of the lease as httptrace has it: a connection that no request
// has used yet was not idle, though it may have waited.
func (l lease) info() httptrace.GotConnInfo {
	info := httptrace.GotConnInfo{Conn: l.c.raw, Reused: !l.first}
	if !l.first && l.rested {
		info.WasIdle, info.IdleTime = true, l.idle
	}
	return info
}

// pause waits for about d. It reports false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// dialAddress returns what is dialled for the group, as httptrace names it.
func (g *group) dialAddress() string {
	if g.proxy == nil {
		return g.target
	}
	addr, err := address(g.proxy)
	if err != nil {
		return g.proxy.Host
	}
	return addr
}
