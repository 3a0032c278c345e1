package pool

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

const (
	// drainBytes and drainTime bound what is read of a response that the
	// caller has closed unread, so that the connection can rest.
	drainBytes = 256 << 10
	drainTime  = 50 * time.Millisecond
)

// errReadOnClosed is net/http's, by its words.
var errReadOnClosed = errors.New("http: read on closed response body")

// A body is the response body of an HTTP/1.1 exchange. Closing it before its
// end drains a bounded rest in the background, and the connection lives.
type body struct {
	inner io.ReadCloser
	x     *exchange
	left  int64 // bytes to come; negative: not known
	state atomic.Int32

	forgotten bool // nobody can close it any more but the pool
	drained   bool // its caller has closed it unread, and the rest has been read
}

// The states of a body.
const (
	bodyOpen = iota
	bodyReading
	bodyEOF
	bodyClosed
)

// Read reads the response. Its errors are net/http's; after a cancellation it
// is the cause.
func (b *body) Read(p []byte) (int, error) {
	if !b.state.CompareAndSwap(bodyOpen, bodyReading) {
		if b.state.Load() == bodyClosed {
			return 0, errReadOnClosed
		}
		// At its end, or another Read is under way: net/http knows what to say.
		n, err := b.inner.Read(p)
		return n, b.explain(err)
	}
	n, err := b.inner.Read(p)
	b.left -= int64(n)
	next := int32(bodyOpen)
	if err != nil {
		next = bodyEOF
	}
	switch {
	case err == io.EOF:
		b.x.finished()
	case err != nil:
		b.x.conn.tell(linger.Abandoned) // nothing more will come of it
	}
	b.state.CompareAndSwap(bodyReading, next)
	return n, b.explain(err)
}

// explain returns the cause of an error that a cancellation, or a Close
// meanwhile, has brought about. That may be io.EOF: a server that reads the
// close_notify of TLS may end its response as if that were all of it.
func (b *body) explain(err error) error {
	if err == nil || b.x.state.Load() != cancelled {
		return err
	}
	return b.x.cause()
}

// Close ends the use of the response. It does not wait for the rest of it.
func (b *body) Close() error {
	switch was := b.state.Swap(bodyClosed); {
	case was == bodyClosed:
		return nil // somebody is at it
	case was == bodyEOF:
		defer b.x.finished() // if the end was not net/http's yet, as after gzip's
		return b.inner.Close()
	case was == bodyReading, b.left > drainBytes:
		// Whoever reads is to be released; or there is too much to come.
		return b.abandon()
	}
	b.x.detach()
	if b.x.state.Load() == cancelled {
		return b.inner.Close()
	}
	go b.drain()
	return nil
}

// drain reads the rest, within bounds.
func (b *body) drain() {
	timer := time.AfterFunc(drainTime, func() { b.abandon() })
	defer timer.Stop()
	n, err := io.Copy(io.Discard, io.LimitReader(b.inner, drainBytes+1))
	if err != nil || n > drainBytes {
		b.abandon()
		return
	}
	b.inner.Close()
	b.drained = !b.forgotten // of that the ghosts have heard
	b.x.finished()
}

// abandon gives up the connection with the rest of the response.
func (b *body) abandon() error {
	if b.x.state.CompareAndSwap(active, cancelled) {
		b.x.detach()
		reason := metrics.BodyNotDrained
		if b.forgotten {
			reason = metrics.Leak
		}
		b.x.conn.abandon(reason)
	}
	return b.inner.Close()
}
