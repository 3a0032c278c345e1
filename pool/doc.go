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
// A dialled connection goes to the request that it was dialled for; if that has
// gone, to the one that has waited for the longest time; or it rests. A request
// takes a connection that rests, after a look at its socket; else it waits for
// whichever comes first, one that is returned or one that is dialled for it. The
// connection returns when the response's body has been read or closed. It leaves
// by idle time, age and number of requests, by need, or because the server says
// so, and package linger ends it.
//
// # Dials
//
// A dial outlives the request that it began for, and no connection that was
// dialled is thrown away unless a limit says so. Dials to one host are bounded
// (MaxDialsPerHost). When one fails, the next ones begin one at a time, up to a
// quarter of a second apart, and the requests that wait share them: a host that
// is down is not hammered, and a request may have to wait for that much longer
// to hear of it.
//
// A dial for which there is no local port fails nobody: the requests wait, as
// long as their contexts allow, until a connection of their host comes back or
// ends. Where the host has none, they fail when there has been no port for three
// seconds. The error says who has the ports: see [dialer.Error].
//
// A dial that hangs stands in nobody's way for long: when the limits are used up
// by dials whose requests have given up, the oldest of them is given up too,
// a second after it began.
//
// Some connections are dialled before anybody waits for them: in the place of
// one that grows old, to keep MinConnsPerHost, and when HTTP/2 connections are
// nearly full. Of HTTP/2 connections the oldest is used first, so that the
// others come to rest when load falls.
//
// # How long a connection rests
//
// IdleTimeout bounds it; every limit has jitter, chosen at the connection's
// birth, so that those that are born together do not end together. Of what was
// not needed for a whole IdleTimeout, half leaves at a time.
//
// A server has a limit of its own, and a request that is sent just as the server
// closes is lost. So a connection is not lent any more shortly before: by a
// quarter of the limit, or two seconds if that is less. It is still watched, so
// that the server closes first. The limit is what the server announces
// ("Keep-Alive: timeout=, max="), or what it has shown: three closings after the
// same rest, at different moments. What was learned is forgotten when a
// connection outlives it.
//
// # Differences from http.DefaultTransport
//
// The defaults of a Transport without a Base:
//
//	                            http.DefaultTransport   pool.Transport
//	connections per host        unlimited               unlimited
//	resting per host            2                       unlimited
//	resting in all              100                     unlimited
//	idle timeout                90 s                    90 s
//	age of a connection         unlimited               unlimited
//	requests of a connection    unlimited               unlimited
//	dials per host at a time    unlimited               64
//	dial timeout                30 s                    30 s
//	TCP keep-alive              30 s                    30 s
//	TLS handshake timeout       10 s                    10 s
//	wait for 100 Continue       1 s                     1 s
//	HTTP/2 over TLS             yes                     yes
//	pings                       none                    none
//	proxy                       environment             environment
//
// With a Base, what it sets counts in their place. What differs whatever is set:
//
//	                            http.Transport          pool.Transport
//	idle timeout, in fact       as set                  up to a tenth sooner, and before the server's own
//	dials to a dead host        one for each request    one in 5 to 250 ms, shared
//	body closed unread          the connection is lost  256 KiB or 50 ms are drained
//	body not closed             the connection is stuck  found, closed, logged with its file:line
//	dead at the lease           request may fail        seen (Linux), another is taken
//	close                       FIN first: TIME_WAIT    the peer first, or FIN and reset
//	Shutdown                    none                    waits for requests and farewells
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
// # Bodies
//
// A response's body must be closed, or read to its end. One that is closed
// before its end is drained in the background, within bounds, so that its
// connection can go on. One that the program forgets (nobody holds the Response
// or its Body any more) is found by the garbage collector once it has been open
// for a second, closed, counted (metrics.Snapshot.Leaks), and told to Events
// and, once for each line of the program that sent such requests, to Logger. A
// program that allocates nothing may take two minutes to its next collection.
// In a bubble of testing/synctest forgotten bodies stay open.
//
// Which line that was is noted for one request in 64, for the first on each
// connection, and for all to a host once a body of it was found; with
// Transport.LongBody, for all. While their bodies are open, those that were
// noted are in the profile "lastack.pool.bodies" (see [runtime/pprof.Lookup]):
// it is a sample of the process's open bodies, not a count.
//
// # What it does not do
//
// Requests for schemes that Base has a protocol of the user's own for
// (RegisterProtocol) are Base's to serve, outside the pool. Settings of Base
// that change after the first request are not seen. The deprecated CancelRequest
// is for HTTP/1.1 only.
//
// A Base whose HTTP/2 was set up with golang.org/x/net/http2 (ConfigureTransport,
// ConfigureTransports) keeps its Transport.HTTP2 settings and no others: in the
// place of the other package's ReadIdleTimeout, which is lost, set
// Base.HTTP2.SendPingTimeout or Ping. Logger is told of it.
//
// http.Client knows http.Transport by its type and spares it a goroutine for
// each request under Client.Timeout; any other RoundTripper pays for that one.
// With any other, the text "(Client.Timeout exceeded while awaiting headers)"
// may be missing from the error too, which is a timeout all the same.
//
// Other code asserts that http.DefaultTransport is an *http.Transport: do not
// put a pool there.
//
// The Conn of httptrace.GotConnInfo is a [*linger.Conn], also for https, where
// net/http has a *net.TCPConn or a *tls.Conn. What a dial function of the user's
// own returns, if that is no *net.TCPConn, is passed on as it is.
//
// # Ownership and locks
//
// Two locks order the rest: Transport.mu guards the map of groups, and group.mu
// all that changes in a group and its connections. The first is taken before the
// second. Nothing is called out to under either but the ledger of package
// metrics, which calls nobody, and what tells a ClientConn's state or reserves
// it, which takes locks of net/http's, or that of an altConn, last.
//
// Each other lock is held alone: that of a group's open bodies (bodies.mu), of
// the calm hosts, of an observedLife, and of the sites.
//
// Each goroutine has an end: a dial is ended by its Dialer's timeout, when it
// hangs in another's way, or by Shutdown; a drain by its bounds, a ping by its timeout, a farewell by its Policy.
package pool
