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
// Where a socket can't be duplicated (Windows) nothing waits for the peer.
//
// # Concurrency
//
// Close never waits. Farewells run on goroutines that the Closer owns;
// [Closer.Shutdown] awaits them. The Closer's lock and a Conn's lock are never
// held together, and no method of the user's is called under either.
package linger
