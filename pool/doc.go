// Package pool is an [http.RoundTripper] that keeps connections, shares them,
// and ends them so that this side has no TIME_WAIT. It takes the place of an
// http.Transport:
//
//	client := &http.Client{Transport: &pool.Transport{}}
//
// or, for a program that has a tuned one,
//
//	client := &http.Client{Transport: &pool.Transport{Base: tuned}}
//
// It is built on http.ClientConn, so that the wire protocol, proxies, TLS,
// compression and upgrades are net/http's own.
//
// # The life of a connection
//
//	           lease                 age, idle, limit,
//	dialled ──────────► busy          the peer said so
//	   │                │  ▲  ──────────────────────────► leaving
//	   └───► resting ◄──┘  │                                 │ its last request is done
//	            └──────────┘ lease                           ▼
//	                                                       closed ──► farewell ──► ended
//
// A dialled connection rests, or goes to the request that has waited for the
// longest time. A request takes a connection that rests, after a look at its
// socket; else it waits for whichever comes first, one that is returned or one
// that is dialled for it. The connection returns when the response's body has
// been read or closed. It leaves by idle time, age and number of requests, or
// because the server says so, and package linger ends it.
//
// # Differences from http.DefaultTransport
//
//	                       http.DefaultTransport    pool.Transport
//	resting per host       2                        unlimited
//	resting in all         100                      unlimited (with a Base: its)
//	idle timeout           90 s                     90 s
//	age, requests          unlimited                MaxAge, MaxRequests
//	dials in progress      unlimited                64 for each host
//	body closed unread     the connection is lost   256 KiB or 50 ms are drained
//	dead at the lease      request may fail         seen, another is taken
//	close                  FIN first: TIME_WAIT     the peer first, or FIN and reset
//	Shutdown               none                     waits for requests and farewells
//
// # Sending again
//
// A request whose connection fails is sent again on another
//
//   - if nothing of it was written; or if it does no harm twice and nothing of
//     the response was read. That is so for GET, HEAD, OPTIONS and TRACE, and for
//     any request with an Idempotency-Key (or X-Idempotency-Key; it may be nil,
//     and then it is not sent); not for PUT and DELETE, whose second response
//     may tell of a failure where the first has succeeded;
//   - if its body can be had again by GetBody, or nothing of it was taken;
//   - if the connection had served a request or had rested. A server that hangs
//     up on a new connection does not like the request.
//
// An HTTP/2 server can say that it has not begun on a request (REFUSED_STREAM,
// GOAWAY). Then any request is sent again, after a pause from the second time on.
//
// A request is sent seven times at most, and a host has a budget of 1000
// retries, which grows by one for every five responses and by one a second.
// When it is used up the request fails with the error that it met.
//
// # What it does not do
//
// Requests for schemes that Base has a protocol of the user's own for
// (RegisterProtocol) are Base's to serve, outside the pool. A Base whose HTTP/2
// was set up with golang.org/x/net/http2 keeps its Transport.HTTP2 settings and
// no others. Protocols of TLSNextProto other than HTTP/2 do not work. Settings
// of Base that change after the first request are not seen. The deprecated
// CancelRequest is missing; Request.Cancel works.
// http.Client knows http.Transport by its type and spares it a goroutine for
// each request under Client.Timeout; any other RoundTripper pays for that one.
//
// # Ownership and locks
//
// There are two locks: Transport.mu guards the map of groups, and group.mu all
// that changes in a group and its connections. The first is taken before the
// second. Nothing is called out to under either but the ledger of package
// metrics, which calls nobody.
//
// Each goroutine has an end: a dial is ended by its Dialer's timeout or by
// Shutdown, a drain by its bounds, a ping by its timeout, a farewell by its Policy.
package pool
