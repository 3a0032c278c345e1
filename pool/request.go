package pool

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
)

// A trackedBody is a request body that knows whether anything was taken of it,
// and is closed once.
//
// net/http closes the body of an attempt that has failed. As long as nothing
// was taken of it and a further attempt may want it, that is put off.
type trackedBody struct {
	io.ReadCloser
	state atomic.Int32
}

// The states of a trackedBody. It begins as bodyFresh.
const (
	bodyFresh   = iota
	bodySpared  // net/http has closed it, and nothing was taken
	bodyTaken   // something was taken
	bodySettled // nothing was taken, and there will be no further attempt
	bodyGone    // closed, or passed on to a further attempt
)

var errBodyClosed = errors.New("http: read on closed request body")

func (b *trackedBody) Read(p []byte) (int, error) {
	b.state.CompareAndSwap(bodyFresh, bodyTaken)
	if s := b.state.Load(); s == bodySpared || s == bodyGone {
		return 0, errBodyClosed
	}
	return b.ReadCloser.Read(p)
}

// Close closes the body, or puts that off.
func (b *trackedBody) Close() error {
	if b.state.CompareAndSwap(bodyFresh, bodySpared) || b.state.Load() == bodySpared {
		return nil
	}
	if b.state.Swap(bodyGone) == bodyGone {
		return nil
	}
	return b.ReadCloser.Close()
}

func (b *trackedBody) untouched() bool {
	s := b.state.Load()
	return s == bodyFresh || s == bodySpared
}

// settle says that there will be no further attempt, so that nothing is put off.
func (b *trackedBody) settle() {
	if !b.state.CompareAndSwap(bodyFresh, bodySettled) && b.state.CompareAndSwap(bodySpared, bodyGone) {
		b.ReadCloser.Close()
	}
}

// rewound returns the body for a further attempt, or nil if something was taken
// of it. Whoever still has this one finds it closed.
func (b *trackedBody) rewound() *trackedBody {
	if b.state.CompareAndSwap(bodyFresh, bodyGone) || b.state.CompareAndSwap(bodySpared, bodyGone) {
		return &trackedBody{ReadCloser: b.ReadCloser}
	}
	return nil
}

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
			cancel(errCanceled())
		case <-ctx.Done():
		}
	}()
	return ctx, &legacyCancel{ctx, cancel}
}

// explain returns the error for err, which for HTTP/2 does not tell that Cancel
// was closed from that the request's own context has ended.
func (l *legacyCancel) explain(err error) error {
	if l != nil && err == context.Canceled && context.Cause(l.ctx) == errCanceled() {
		return errCanceled()
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

	// writeFailed: a part of the request was written. Whether anything of the
	// response was read, the error does not tell.
	writeFailed
)

// kindOf tells failures of HTTP/1.1 apart. net/http does not export the types
// and values that it tells them by.
func kindOf(err error) failure {
	if msg := err.Error(); msg == "http: server closed idle connection" || strings.HasPrefix(msg, "readLoopPeekFailLocked: ") {
		// net/http has closed the connection, under the lock that begins an
		// exchange, because none had begun.
		return nothingWritten
	}
	switch reflect.TypeOf(err).String() {
	case "http.nothingWrittenError":
		return nothingWritten
	case "http.transportReadFromServerError":
		return connectionLost
	}
	// Without this prefix it would be an error of the request's body.
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "write" &&
		strings.HasPrefix(err.Error(), "net/http: HTTP/1.x transport connection broken: ") {
		return writeFailed
	}
	return otherFailure
}

// plain returns err as http.Transport returns it: without the types that are for
// its own use.
func plain(err error) error {
	for {
		switch reflect.TypeOf(err).String() {
		case "http.nothingWrittenError", "http.transportReadFromServerError":
			if inner := errors.Unwrap(err); inner != nil {
				err = inner
				continue
			}
		}
		return err
	}
}

// http2StreamError has the shape by which net/http's HTTP/2 lets its own error
// of that name be found.
type http2StreamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e http2StreamError) Error() string { return "stream error" }

// Error codes of RFC 9113 section 7.
const (
	protocolError = 1
	refusedStream = 7 // the server has not begun on the request
)

// notSentHTTP2 reports whether net/http had to keep the request, because the
// connection has ended or the server has said GOAWAY.
func notSentHTTP2(err error) bool {
	switch err.Error() {
	case "http2: client conn not usable",
		"http2: client conn could not be established",
		"http2: no cached connection was available":
		return true
	}
	return false
}

// refusedHTTP2 reports whether the server has said that it has not begun on the
// request, and will not.
func refusedHTTP2(err error) bool {
	if err.Error() == "http2: Transport received Server's graceful shutdown GOAWAY" {
		return true
	}
	se, ok := errors.AsType[http2StreamError](err)
	return ok && se.Code == refusedStream
}

// protocolErrorHTTP2 reports whether the server has reset the stream for an
// error of the protocol, as some do when their limit of streams is exceeded
// (golang.org/issue/47635). It may have begun on the request.
func protocolErrorHTTP2(err error) bool {
	se, ok := errors.AsType[http2StreamError](err)
	return ok && se.Code == protocolError && se.Cause != nil && se.Cause.Error() == "received from peer"
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
