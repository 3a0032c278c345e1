package pool

import (
	"container/list"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"runtime"
	"sync/atomic"
	"time"
)

// A handle is a response in its caller's hands. net/http keeps the Response that
// it has made, and its body, until that is done with, so the caller gets a copy,
// with a body that nobody else knows: when the handle cannot be reached any
// more, nobody is left who could close it.
//
// Response and body are one allocation: whoever keeps either has not forgotten
// the body.
type handle struct {
	resp  http.Response
	from  *http.Response // net/http's, which is where it puts trailers
	inner io.ReadCloser
	conn  *conn
	since time.Duration // by sinceStart
	trace *trace        // or nil

	leased time.Time // when its request was given the connection

	over     atomic.Bool // the body is at its end, or closed
	upgraded bool        // see upgrade
	returns  bool        // its end returns the connection: HTTP/1.1's body does that itself

	// Guarded by the mu of the group's bodies.
	prev, next *handle   // while it is young
	watched    *openBody // when it is not; see bodies
}

// hand returns the response for the caller's hands.
func (l lease) hand(resp *http.Response) *http.Response {
	if reflect.TypeOf(resp.Body).Size() == 0 {
		// http.NoBody, or HTTP/2's: there is nothing in it to be closed.
		if l.c.h2 && !l.dead {
			l.c.returned(l.at)
		}
		l.c.g.host.Done()
		return resp
	}
	var h *handle
	if w, ok := resp.Body.(io.ReadWriteCloser); ok {
		u := &upgrade{handle{inner: w, upgraded: true}}
		h = &u.handle
		h.resp = *resp
		h.resp.Body = u
	} else {
		h = &handle{resp: *resp, inner: resp.Body}
		h.resp.Body = h
	}
	h.from, h.conn, h.since, h.leased = resp, l.c, sinceStart(), l.at
	h.returns = l.c.h2 && !l.dead
	l.c.g.bodies.open(h, l.first)
	return &h.resp
}

// Read reads the response.
func (h *handle) Read(p []byte) (int, error) {
	n, err := h.inner.Read(p)
	if err != nil {
		h.failed(err)
	}
	runtime.KeepAlive(h) // it is read, so it is not forgotten
	return n, err
}

// failed takes in an error of Read, which most often is io.EOF.
func (h *handle) failed(err error) {
	if err != io.EOF && h.from.Uncompressed {
		return // the decoder's; it leaves the connection where it is
	}
	if h.over.Swap(true) {
		return
	}
	if t := h.from.Trailer; t != nil && h.resp.Trailer == nil {
		h.resp.Trailer = t // no header has announced it
	}
	h.done()
}

// Close ends the use of the response.
func (h *handle) Close() error {
	if !h.over.Swap(true) {
		h.done()
	}
	err := h.inner.Close()
	runtime.KeepAlive(h)
	return err
}

// done says that nothing is left to be closed. It is called once, and before the
// body's own Close: that of HTTP/2 waits for a reset to be written, which the
// server may never let it.
func (h *handle) done() {
	h.conn.g.bodies.done(h)
	h.trace.end()
	if h.returns {
		h.conn.returned(h.leased)
	}
	h.conn.g.host.Done()
}

// An upgrade is the handle of a connection that the caller may also write to,
// after "101 Switching Protocols". Its end is Close alone.
type upgrade struct{ handle }

func (u *upgrade) Read(p []byte) (int, error) {
	n, err := u.inner.Read(p)
	runtime.KeepAlive(u)
	return n, err
}

func (u *upgrade) Write(p []byte) (int, error) {
	n, err := u.inner.(io.Writer).Write(p)
	runtime.KeepAlive(u)
	return n, err
}

// CloseWrite is what net/http's has, too.
func (u *upgrade) CloseWrite() error {
	w, ok := u.inner.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("CloseWrite: %w", http.ErrNotSupported)
	}
	err := w.CloseWrite()
	runtime.KeepAlive(u)
	return err
}

// An openBody is what is known of a body whose handle is not to be kept alive.
type openBody struct {
	inner   io.ReadCloser
	conn    *conn
	since   time.Duration
	leased  time.Time
	trace   *trace
	returns bool
	cleanup runtime.Cleanup
	held    *list.Element // its place in bodies.held, which guards it; or nil
}

// leaked is called when the handle cannot be reached any more, on a goroutine
// of the runtime's that must not wait.
func leaked(o *openBody) { go o.heal() }

// heal closes a body that was forgotten, and makes it known.
func (o *openBody) heal() {
	g := o.conn.g
	g.bodies.forget(o)
	o.trace.end()
	g.host.Leak(o.trace.place()) // before the connection returns
	inner := o.inner
	if r, ok := inner.(*releasingBody); ok {
		inner = r.ReadCloser
	}
	if b, ok := inner.(*body); ok {
		b.forgotten = true
	}
	if o.returns {
		o.conn.returned(o.leased)
	}
	o.inner.Close()
	g.host.Done()
	if g.t.observes(Leaked) {
		g.t.emit(o.event(Leaked))
	}
}

// event returns an event of the body.
func (o *openBody) event(k EventKind) Event {
	ev := o.conn.event(k)
	ev.Took, ev.Site = sinceStart()-o.since, o.trace.site()
	return ev
}
