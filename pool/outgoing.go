package pool

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"reflect"
	"sync/atomic"
)

// An outgoing is a request as it is sent, which may be more than once.
type outgoing struct {
	orig *http.Request
	req  *http.Request
	body *trackedBody // nil: the body is passed on as it is

	listens bool        // it is noted whether a byte of the response has been read
	heard   atomic.Bool // it has
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
		o.setBody(&trackedBody{ReadCloser: req.Body})
	}
	return o
}

func (o *outgoing) setBody(b *trackedBody) {
	if o.req == o.orig {
		o.req = o.orig.WithContext(o.orig.Context())
	}
	o.body = b
	o.req.Body = b
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

// listen returns the context to send the request under. Where the error alone
// does not tell whether anything of the response was read, that is noted: when a
// write fails, on a connection that could be replaced by another.
func (o *outgoing) listen(ctx context.Context, l lease) context.Context {
	o.heard.Store(false)
	o.listens = !l.c.h2 && l.reused && !o.isOneWrite() && o.idempotent() && o.again()
	if !o.listens {
		return ctx
	}
	heard := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotFirstResponseByte: func() { o.heard.Store(true) },
	})
	if ctx.Done() == nil {
		o.req = o.req.WithContext(heard) // which is then sent as it is
	}
	return heard
}

// isOneWrite reports whether the request is written at once or not at all, as
// most without a body are: they fit into net/http's buffer.
func (o *outgoing) isOneWrite() bool {
	if o.orig.Body != nil && o.orig.Body != http.NoBody {
		return false
	}
	const buffer, ownFields, perField = 4 << 10, 512, len(": \r\n")
	n := ownFields + len(o.orig.Host) + len(o.orig.URL.Host) + 3*(len(o.orig.URL.Path)+len(o.orig.URL.RawQuery))
	for name, values := range o.orig.Header {
		for _, v := range values {
			n += len(name) + len(v) + perField
		}
	}
	return n < buffer
}

// replayable reports whether the request, which has failed with err, may be sent
// again: the connection was a reused one, and either nothing of the request was
// written, or it does no harm twice and nothing of the response was read; and
// its body can be had again. A server that hangs up on a new connection does
// not like the request.
//
// An HTTP/2 server can say that it has not begun on the request. Then it does not
// matter how old the connection is. Interim responses do not count as read there.
func (o *outgoing) replayable(err error, l lease) bool {
	if o.orig.Context().Err() != nil || !o.again() {
		return false
	}
	if l.c.h2 {
		dead := l.c.cc.Err() != nil
		switch {
		case l.c.alt && notSentHTTP2(err):
			return true // http.Transport takes a protocol of the user's own at its word
		case notSentHTTP2(err):
			// If the connection lives it was GOAWAY that kept the request from
			// being sent. If not, others may have come before it, though none
			// has succeeded yet.
			return l.reused || !l.first || !dead || l.refused != nil
		case refusedHTTP2(err):
			return true
		}
		return l.reused && (dead || protocolErrorHTTP2(err)) && o.idempotent()
	}
	if !l.reused {
		return false
	}
	switch kindOf(err) {
	case nothingWritten:
		return true
	case connectionLost:
		return o.idempotent()
	case writeFailed:
		return o.listens && !o.heard.Load()
	}
	return false
}

// again reports whether the body can be had again, or nothing of it was taken.
func (o *outgoing) again() bool {
	return o.orig.Body == nil || o.orig.Body == http.NoBody || o.orig.GetBody != nil ||
		o.body != nil && o.body.untouched()
}

// idempotent reports whether the request may be carried out twice: by its
// method, or because its sender says so.
//
// The methods are http.Transport's. RFC 9110 section 9.2.2 also has PUT and
// DELETE, whose effect is the same when they are carried out twice; but not
// their response. What has succeeded would be reported as failed: a DELETE by
// 404, a PUT with If-None-Match or If-Match by 412. Whoever knows better says
// so with Idempotency-Key.
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
	if o.orig.Body == nil || o.orig.Body == http.NoBody {
		return nil
	}
	if o.body != nil {
		if again := o.body.rewound(); again != nil {
			o.nextBody(again)
			return nil
		}
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
		o.nextBody(&trackedBody{ReadCloser: b})
		return nil
	}
	o.req = o.req.WithContext(o.req.Context())
	o.req.Body = b
	return nil
}

// nextBody is setBody for a further attempt, with a request of its own: the one
// before may still be looked at.
func (o *outgoing) nextBody(b *trackedBody) {
	o.req = o.req.WithContext(o.req.Context())
	o.setBody(b)
}

// fail ends the request: its body is closed, and err returned.
func (o *outgoing) fail(r *legacyCancel, err error) error {
	o.sent()
	closeBody(o.req)
	err = r.explain(err)
	r.release()
	return err
}

// sent says that there will be no further attempt: the body is net/http's to close.
func (o *outgoing) sent() {
	if o.body != nil {
		o.body.settle()
	}
}
