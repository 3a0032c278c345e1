package pool

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"sync/atomic"
)

// A trackedBody is a request body that knows whether anything was taken of it,
// and is closed once.
type trackedBody struct {
	io.ReadCloser
	read, closed atomic.Bool
}

func (b *trackedBody) Read(p []byte) (int, error) {
	b.read.Store(true)
	return b.ReadCloser.Read(p)
}

func (b *trackedBody) Close() error {
	if !b.closed.CompareAndSwap(false, true) {
		return nil
	}
	return b.ReadCloser.Close()
}

func (b *trackedBody) touched() bool { return b.read.Load() || b.closed.Load() }

// A legacyCancel makes a request's Cancel channel end a context. It is nil for
// a request without one.
type legacyCancel struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// cancelable returns the context that the request is sent under.
func cancelable(req *http.Request) (context.Context, *legacyCancel) {
	if req.Cancel == nil {
		return req.Context(), nil
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	go func() {
		select {
		case <-req.Cancel:
			cancel(errCanceled)
		case <-ctx.Done():
		}
	}()
	return ctx, &legacyCancel{ctx, cancel}
}

// explain returns the error for err, which for HTTP/2 does not tell that Cancel
// was closed from that the request's own context has ended.
func (l *legacyCancel) explain(err error) error {
	if l != nil && err == context.Canceled && context.Cause(l.ctx) == errCanceled {
		return errCanceled
	}
	return err
}

// release ends the wait for Cancel.
func (l *legacyCancel) release() {
	if l != nil {
		l.cancel(nil)
	}
}

// attach has the response release the wait for Cancel when its body is done.
func (l *legacyCancel) attach(resp *http.Response) {
	if l == nil {
		return
	}
	if resp.Body == http.NoBody {
		l.release()
		return
	}
	if w, ok := resp.Body.(io.ReadWriteCloser); ok {
		resp.Body = &releasingWriter{releasingBody{w, l}, w}
		return
	}
	resp.Body = &releasingBody{resp.Body, l}
}

// A releasingBody releases when it is read to the end, or closed.
type releasingBody struct {
	io.ReadCloser
	l *legacyCancel
}

func (b *releasingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		err = b.l.explain(err)
		b.l.release()
	}
	return n, err
}

func (b *releasingBody) Close() error {
	defer b.l.release()
	return b.ReadCloser.Close()
}

// A releasingWriter is a releasingBody that can be written to, after an upgrade.
type releasingWriter struct {
	releasingBody
	io.Writer
}

// A failure is what an error of a ClientConn says of the request.
type failure uint8

const (
	otherFailure failure = iota

	// nothingWritten: no byte of the request has left.
	nothingWritten

	// connectionLost: the connection ended before the first byte of the response.
	connectionLost
)

// kindOf tells failures of HTTP/1.1 apart. net/http does not export the types
// and values that it tells them by.
func kindOf(err error) failure {
	if err.Error() == "http: server closed idle connection" {
		return connectionLost
	}
	switch reflect.TypeOf(err).String() {
	case "http.nothingWrittenError":
		return nothingWritten
	case "http.transportReadFromServerError":
		return connectionLost
	}
	return otherFailure
}

// plain returns err as http.Transport returns it: without the types that are for
// its own use.
func plain(err error) error {
	for kindOf(err) != otherFailure {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	return err
}

// http2StreamError has the shape by which net/http's HTTP/2 lets its own error
// of that name be found.
type http2StreamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e http2StreamError) Error() string { return "stream error" }

// refusedStream is REFUSED_STREAM (RFC 9113 section 7): the server has not
// begun on the request.
const refusedStream = 7

// refusedHTTP2 reports whether an HTTP/2 server is known not to have begun on
// the request.
func refusedHTTP2(err error) bool {
	switch err.Error() {
	case "http2: client conn not usable",
		"http2: Transport received Server's graceful shutdown GOAWAY",
		"http2: client conn could not be established",
		"http2: no cached connection was available":
		return true
	}
	se, ok := errors.AsType[http2StreamError](err)
	return ok && se.Code == refusedStream
}

// lostPing reports whether an HTTP/2 connection was given up because nobody
// answered a PING.
func lostPing(err error) bool { return err.Error() == "http2: client connection lost" }

// A lostPingError is a timeout, which net/http's own error does not say.
type lostPingError struct{ err error }

func (e lostPingError) Error() string { return e.err.Error() }
func (e lostPingError) Unwrap() error { return e.err }
func (e lostPingError) Timeout() bool { return true }

// Temporary is what net.Error has besides.
func (e lostPingError) Temporary() bool { return true }
