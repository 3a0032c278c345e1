package pool

import (
	"context"
	"net/http"
	"net/http/httptrace"

	"github.com/lastack/lastack/linger"
)

// A server may answer before it has read the request's body. net/http closes
// the connection as soon as the answer has been read, or 50 ms later, although
// it is still writing, and the server would get a part of the body. So the
// connection is told that an upload is under way, and puts its close off.
//
// That works in plaintext. Under TLS a close reaches the connection only after
// crypto/tls has ended all writing.

// uploads reports whether the request is to be seen off like that.
func (x *exchange) uploads(req *http.Request) bool {
	return req.Body != nil && req.Body != http.NoBody && x.conn.nc != nil && !x.conn.tls
}

// traceUpload returns the context for a request with a body, and tells the
// connection of its upload.
func (x *exchange) traceUpload() context.Context {
	x.then.Store(uint32(linger.Underway))
	x.conn.tell(linger.Sending)
	return httptrace.WithClientTrace(&x.ctx, &httptrace.ClientTrace{
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			then := linger.Fact(x.then.Load())
			if info.Err != nil {
				then = linger.Abandoned
			}
			x.conn.nc.Sent(then)
			if x.left.Load() {
				x.finish() // it could be cancelled until now
			}
		},
	})
}

// owed says that the server is to close the connection after this response, and
// after the upload if there still is one.
func (x *exchange) owed() {
	nc := x.conn.nc
	if nc == nil {
		return
	}
	x.then.Store(uint32(linger.Owed))
	if !nc.Sending() {
		nc.Tell(linger.Owed)
	}
}
