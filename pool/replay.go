package pool

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"reflect"
	"time"
)

// maxAttempts bounds how often one request is sent.
const maxAttempts = 7

// try sends the request, again if that is safe and of use.
func (t *Transport) try(req *http.Request, key Key, proxy *url.URL) (*http.Response, error) {
	ctx, release := cancelable(req)
	out := newOutgoing(req, ctx)
	trace := httptrace.ContextClientTrace(ctx)
	counted := false
	for attempt := 1; ; {
		if ctx.Err() != nil {
			return nil, out.fail(release, context.Cause(ctx))
		}
		g, err := t.group(key, proxy)
		if err != nil {
			return nil, out.fail(release, err)
		}
		if !counted {
			counted = true
			g.host.Request()
		}
		g.heedRequest(req)
		if trace != nil && trace.GetConn != nil {
			trace.GetConn(g.dialAddress())
		}
		l, err := g.lease(ctx)
		if err == errGroupDead {
			continue
		}
		if err != nil {
			return nil, out.fail(release, err)
		}
		if trace != nil && trace.GotConn != nil {
			trace.GotConn(l.info())
		}
		resp, err := l.send(ctx, out.req)
		if err == nil {
			resp.Request = req
			release.attach(resp)
			return resp, nil
		}
		if attempt == maxAttempts || !out.replayable(err, l) {
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

// An outgoing is a request as it is sent, which may be more than once.
type outgoing struct {
	orig *http.Request
	req  *http.Request
	body *trackedBody // nil: the body is passed on as it is
}

// newOutgoing prepares req for sending under ctx, which is its own or one
// derived from it.
func newOutgoing(req *http.Request, ctx context.Context) *outgoing {
	o := &outgoing{orig: req, req: req}
	if ctx != req.Context() {
		o.req = req.WithContext(ctx)
		o.req.Cancel = nil
	}
	if !passesOn(req) {
		o.setBody(req.Body)
	}
	return o
}

func (o *outgoing) setBody(b io.ReadCloser) {
	if o.req == o.orig {
		o.req = o.orig.WithContext(o.orig.Context())
	}
	o.body = &trackedBody{ReadCloser: b}
	o.req.Body = o.body
}

var (
	nopCloser         = reflect.TypeOf(io.NopCloser(nil))
	nopCloserWriterTo = reflect.TypeOf(io.NopCloser(struct {
		io.Reader
		io.WriterTo
	}{}))
)

// passesOn reports whether net/http gets the request's body as it is: when
// there is none, when it can be had again, or when net/http has a fast path for its type
// that a wrapper would hide (a body in memory goes out with the header, a file
// by sendfile).
func passesOn(req *http.Request) bool {
	if req.Body == nil || req.Body == http.NoBody {
		return true
	}
	if _, ok := req.Body.(*os.File); ok {
		return true
	}
	t := reflect.TypeOf(req.Body)
	return req.GetBody != nil && (t == nopCloser || t == nopCloserWriterTo)
}

// fail ends the request: its body is closed, and err returned.
func (o *outgoing) fail(r *legacyCancel, err error) error {
	closeBody(o.req)
	err = r.explain(err)
	r.release()
	return err
}

// replayable reports whether the request, which has failed with err, may be sent
// again: a part of the response was never read, and either nothing of the
// request was written, or it does no harm twice; and its body can be had again.
func (o *outgoing) replayable(err error, l lease) bool {
	if o.orig.Context().Err() != nil {
		return false
	}
	if l.c.h2 {
		if refusedHTTP2(err) {
			return o.again() || o.unread()
		}
		// The connection has died under a request that had no answer yet.
		return l.reused && l.c.cc.Err() != nil && o.idempotent() && o.again()
	}
	if !l.reused {
		// A server that hangs up on a new connection does not like the request.
		return false
	}
	switch kindOf(err) {
	case nothingWritten:
		return o.again() || o.unread()
	case connectionLost:
		return o.idempotent() && o.again()
	}
	return false
}

// again reports whether the body can be had again.
func (o *outgoing) again() bool {
	return o.orig.Body == nil || o.orig.Body == http.NoBody || o.orig.GetBody != nil
}

// unread reports whether nothing of the body was taken.
func (o *outgoing) unread() bool { return o.body != nil && !o.body.touched() }

// idempotent reports whether the request may be carried out twice: by its
// method, or because its sender says so.
func (o *outgoing) idempotent() bool {
	switch o.orig.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if _, ok := o.orig.Header[name]; ok {
			return true
		}
	}
	return false
}

// rewind makes the body ready to be sent from its beginning.
func (o *outgoing) rewind() error {
	if o.orig.Body == nil || o.orig.Body == http.NoBody || o.unread() {
		return nil
	}
	if o.orig.GetBody == nil {
		return errors.New("net/http: cannot rewind body after connection loss")
	}
	closeBody(o.req)
	b, err := o.orig.GetBody()
	if err != nil {
		return err
	}
	if o.body != nil {
		o.setBody(b)
		return nil
	}
	o.req = o.req.WithContext(o.req.Context())
	o.req.Body = b
	return nil
}
