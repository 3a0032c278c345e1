package pool

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// send sends the request on the leased connection and returns its response.
func (l lease) send(ctx context.Context, o *outgoing) (*http.Response, error) {
	c, req := l.c, o.req
	if c.h2 {
		c.calls.Add(1)
		resp, err := c.cc.RoundTrip(req)
		c.calls.Add(-1)
		if err != nil {
			if lostPing(err) {
				c.tell(linger.Broken)
				err = lostPingError{err}
			}
			c.heedFailure(err)
			c.onState()
			if !l.dead {
				c.returned(l.at)
			}
			return nil, err
		}
		c.answered()
		return resp, nil
	}
	x := &exchange{conn: c, req: o.orig, ctx: detached{ctx}}
	out := req
	switch {
	case x.uploads(req):
		out = req.WithContext(x.traceUpload())
	case ctx.Done() != nil:
		out = req.WithContext(&x.ctx)
	}
	if l.last && !req.Close && !isUpgrade(req.Header) {
		if out == req {
			out = req.WithContext(ctx)
		}
		out.Close = true // the goodbye of HTTP/1.1
	}
	if ctx.Done() != nil {
		x.stop = context.AfterFunc(ctx, x.cancel) // before others see x
	}
	c.current.Store(x)
	resp, err := c.cc.RoundTrip(out)
	if err != nil {
		c.tell(linger.Abandoned)
		if l.rested && kindOf(err) != otherFailure {
			c.closedAfter(l.idle)
			if l.first {
				c.g.distrust()
			}
		}
		if x.state.Load() == cancelled {
			err = x.cause()
		}
		x.finish()
		c.onState() // it may have closed while its slot was pending, and told nobody since
		c.returned(time.Time{})
		return nil, err
	}
	c.answered()
	c.hear(resp.Header)
	if x.state.Load() == cancelled {
		resp.Body.Close() // the answer came while the connection was being closed
		return nil, x.cause()
	}
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols:
		if !x.finish() && x.state.Load() == cancelled {
			resp.Body.Close()
			return nil, context.Cause(ctx)
		}
		return c.upgraded(resp), nil // the connection is the caller's, also when ctx ends
	case resp.Close:
		x.owed()
	}
	if resp.Body == http.NoBody {
		x.finished()
		return resp, nil
	}
	x.body.inner, x.body.x = resp.Body, x
	x.body.left = resp.ContentLength
	resp.Body = &x.body
	return resp, nil
}

// answered notes that a request has succeeded on the connection.
func (c *conn) answered() {
	if !c.fresh.Load() {
		return
	}
	c.fresh.Store(false)
	if c.h2 {
		c.settle() // SETTINGS come before any response
	}
}

// An exchange is one request and its response on an HTTP/1.1 connection. It
// outlasts RoundTrip, until the body has been read or closed.
//
// The ClientConn is given a context that never ends, and a cancellation closes
// it, which is what net/http itself does to an HTTP/1.1 connection. That spares
// each request a context that net/http would leave attached to the caller's
// when the request fails, and lets a drain go on after the caller's "defer
// cancel()".
type exchange struct {
	conn  *conn
	req   *http.Request // as the caller knows it
	ctx   detached
	stop  func() bool // takes back the call of cancel; or nil
	state atomic.Int32
	asked atomic.Bool   // CancelRequest came
	then  atomic.Uint32 // the Fact when the upload is done
	left  atomic.Bool   // the connection is closed, as far as net/http knows
	body  body
}

const (
	active    = iota
	done      // the connection is free, or closed
	cancelled // the connection is about to be closed
)

// cancel abandons the exchange, if it is not over.
func (x *exchange) cancel() {
	if x.state.CompareAndSwap(active, cancelled) {
		x.conn.abandon(metrics.Canceled)
	}
}

// cause returns why the exchange was cancelled.
func (x *exchange) cause() error {
	if err := context.Cause(x.ctx.parent); err != nil {
		return err
	}
	if x.asked.Load() {
		return errCanceled()
	}
	return errReadOnClosed // Close came while it was read
}

// finish ends the exchange. It reports false if a cancellation came first.
func (x *exchange) finish() bool {
	if !x.state.CompareAndSwap(active, done) {
		return false
	}
	if x.stop != nil {
		x.stop()
	}
	return true
}

// finished ends the exchange at the end of its response, and returns the
// connection, before the caller can miss it.
func (x *exchange) finished() {
	if x.conn.cc.Available() == 1 && x.finish() {
		x.conn.current.Store(nil) // at rest it does not hold on to the caller's context
		if x.body.drained {
			x.conn.g.host.Drained()
		}
		x.conn.returned(time.Time{})
	}
}

// closed ends the exchange with its connection. If it is still uploading, it can
// be cancelled until that is done.
func (x *exchange) closed() {
	x.left.Store(true)
	if nc := x.conn.nc; nc == nil || !nc.Sending() {
		x.finish()
	}
}

// detach lets the exchange go on when the caller's context ends, unless that is
// to end an upload.
func (x *exchange) detach() {
	if nc := x.conn.nc; x.stop != nil && (nc == nil || !nc.Sending()) {
		x.stop()
	}
}

// abandon closes a busy connection whose request nobody wants the rest of.
func (c *conn) abandon(reason string) {
	c.g.mu.Lock()
	c.g.leaveLocked(c, reason)
	c.g.mu.Unlock()
	c.tell(linger.Abandoned)
	c.cc.Close()
}

// detached is a context with the values of another that never ends.
type detached struct{ parent context.Context }

func (d *detached) Deadline() (time.Time, bool) { return time.Time{}, false }
func (d *detached) Done() <-chan struct{}       { return nil }
func (d *detached) Err() error                  { return nil }
func (d *detached) Value(k any) any             { return d.parent.Value(k) }
