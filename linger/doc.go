// Package linger ends TCP connections so that this side keeps no TIME_WAIT
// socket, and no byte is lost.
//
// # Who pays
//
// The side that sends its FIN first keeps a TIME_WAIT socket, and with it the
// local port, for a minute (RFC 9293 section 3.6.1). The side that closes
// second goes through CLOSE_WAIT and LAST_ACK and keeps nothing:
//
//	this side closes first                  the peer closes first
//
//	ESTABLISHED ── FIN ─►  ESTABLISHED      ESTABLISHED  ◄─ FIN ── ESTABLISHED
//	FIN_WAIT_1  ◄─ ACK ──  CLOSE_WAIT       CLOSE_WAIT   ── ACK ─►  FIN_WAIT_1
//	FIN_WAIT_2  ◄─ FIN ──  LAST_ACK         LAST_ACK     ── FIN ─►  FIN_WAIT_2
//	TIME_WAIT   ── ACK ─►  CLOSED           CLOSED       ◄─ ACK ──  TIME_WAIT
//
// # The ladder
//
// A [Closer] wraps connections ([Closer.Conn]) and decides at Close, in this
// order, by what the kernel says and what the connection's owner has told it
// ([Conn.Tell]):
//
//  1. The peer has closed already: close ([PeerFirst]).
//  2. A goodbye has been said or is owed: wait for the peer's FIN, off the
//     caller's goroutine and bounded in time, bytes and number ([PeerFirst]).
//  3. The exchange is complete, or its caller has abandoned it: send FIN and
//     let the kernel reset once it is acknowledged ([FinReset]; Linux).
//  4. Reset ([Aborted]), where the [Policy] allows it and nothing is unread
//     or unacknowledged, or where the connection is broken anyhow.
//  5. Close, and say so ([LocalFirst]).
//
// # Servers
//
// A server speaks last, and nobody answers what it said. Its client's kernel
// may have acknowledged it, and yet a proxy or the client may not have read it,
// so no fact makes a reset safe but one: that the client has closed, too. On a
// connection that [Closer.Listener] has accepted, steps 3 and 5 are therefore
// this, under the default Policy and on Linux:
//
//		the server                              its client
//
//		ESTABLISHED  ◄─ ACK ───────────────────  has the last word (1)
//		FIN_WAIT_1   ── FIN ──────────────────►  CLOSE_WAIT, reads to the end
//		FIN_WAIT_1      (deaf)  ◄─ ACK ────────  (2)
//		FIN_WAIT_1   ◄─ FIN, ACK ──────────────  closes: LAST_ACK
//		CLOSED       ── RST ──────────────────►  CLOSED (3)
//
//	 1. FIN waits until the client's kernel has acknowledged everything, because
//	    what is lost later would not be sent again, and has room for the FIN,
//	    because nothing would tell that it has later. A client that closes by
//	    itself meanwhile, as one does that has been told "Connection: close",
//	    close_notify or GOAWAY, is the first to close (PeerFirst). A client that
//	    reads slowly is followed for a minute as long as it reads at all.
//	 2. A socket filter drops what only acknowledges, so that the kernel, which
//	    resets when the FIN is acknowledged (TCP_LINGER2 < 0), does so no sooner
//	    than the client's own FIN brings the acknowledgement, or data that
//	    nobody will read. No descriptor is held and no goroutine runs for that,
//	    and it goes on when the process has ended.
//	 3. Neither side keeps a TIME_WAIT (FinReset). A client that does not close
//	    has the FIN sent to it again, for Policy.Wait, three seconds and eight
//	    round trips; then the server's kernel forgets it without a word, and the
//	    client reads on undisturbed. FINs that cross end the same way. A client
//	    that was out of reach for all of that time has not heard of the end: its
//	    next word, or keep-alive, is answered with a reset.
//
// A client that is still sending at the close is read from until it has been
// quiet for a moment, for half a second at most, since a reset for what comes
// after the FIN could make it miss the response. One that sends more than is
// read away gets FIN at once, and the reset after that time.
//
// The price is an acknowledgement: what ends with the connection, as a response
// in HTTP/1.0, ends when its last byte has been acknowledged. That takes a round
// trip, and a quarter of it to notice; where the client has said something more
// than once before, also the time for which its kernel puts an acknowledgement
// off: 40 ms on Linux, up to 200 ms elsewhere. Protocols that say themselves
// where they end (Content-Length, close_notify, GOAWAY) don't pay it. The filter
// takes the kernel some 10 µs of processor time for each connection that this
// side closes first, which is felt where each serves one request: net/http's
// server then took 1.5 to 1.9 times the processor time for it, and answered half
// as many to all of them under full load (BenchmarkListener). Kept connections
// don't pay it.
//
// A client that half-closes after the server's close, and has not read all yet,
// is reset like one that closes. Linux keeps what it has received, and HAProxy
// was seen to lose nothing; another kernel may.
//
// Under [RFC6455], or any other Policy with Plain, the server pays. Under Abort
// the reset comes as soon as everything is acknowledged, and the server vouches.
//
// # What is reported
//
// How a connection has ended is looked up in the kernel afterwards, so
// that LocalFirst is reported when, and only when, a TIME_WAIT stands; except
// on platforms where the kernel does not tell, where it is assumed.
//
// # A peer that has gone silent
//
// A FIN that nobody acknowledges would hold the port, as an orphan in
// FIN_WAIT1, for as long as the kernel sends it again: some 100 seconds. Where
// nobody needs what is unacknowledged (the rest of an exchange that was
// abandoned, or the FIN alone after one that is complete) the kernel is told to
// give up after Policy.Wait, three seconds and eight round trips
// (TCP_USER_TIMEOUT, which Linux heeds also after the close), in which it has
// sent the FIN four or five times. A shorter bound of the owner's stays. A peer
// that is alive and misses the FIN that often finds out by its own next word,
// which is answered with a reset. Anything else that is unacknowledged is the
// kernel's to deliver, as after any close, also to a peer that does not read.
// A broken connection is reset at once and holds nothing.
//
// # Other platforms
//
// Step 3 needs Linux, and so does the knowledge of who spoke last that a
// connection without facts is judged by. Elsewhere a connection leaves no
// TIME_WAIT when the peer closes first, or when the Policy allows a reset of a
// connection whose exchange is known to be complete; the rest is LocalFirst.
// Accepted connections are closed as without this package, and counted.
// Where a socket can't be duplicated (Windows) nothing waits for the peer.
//
// # Concurrency
//
// Close never waits. Farewells run on goroutines that the Closer owns;
// [Closer.Shutdown] awaits them. The Closer's lock and a Conn's lock are never
// held together, and no method of the user's is called under either.
package linger
