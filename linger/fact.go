package linger

// A Fact is what the owner of a connection knows about it and the kernel
// cannot. The last one told before the end counts.
type Fact uint8

const (
	// Unsure means that the owner tells nothing. The kernel is asked who spoke
	// last: when it was the peer, the exchange counts as complete.
	Unsure Fact = iota

	// Complete means that the peer has answered everything that was sent.
	Complete

	// Owed means that a goodbye has been said, or is about to be said by the
	// layer above as it closes (TLS close_notify, "Connection: close"), and
	// that everything before it has been answered: the peer will close.
	Owed

	// SaidGoodbye means that a goodbye of the protocol above has been said, whether
	// or not everything before it has been answered, and that the peer is to
	// close first. One that does not counts as Unsure then.
	SaidGoodbye

	// RestingHTTP2 means Complete, on a plaintext HTTP/2 connection without
	// open streams: the farewell says GOAWAY.
	RestingHTTP2

	// Underway means that an exchange is under way, and that the owner will
	// tell after the close how it came out: Owed, Complete, Abandoned or
	// Broken. Until then, and no longer than Policy.Wait, the peer is waited
	// for; then it counts as Abandoned.
	Underway

	// Sending means Underway, and that somebody is still writing while the
	// answer is complete already. Close is put off until another Fact is told,
	// for as long as the peer's kernel takes what is written: it makes
	// progress at least once in Policy.Wait, and is done in half a minute.
	// Writers go on meanwhile. Then, and on platforms that do not tell of
	// progress, it counts as Abandoned.
	Sending

	// Abandoned means that nobody wants the rest of the exchange any more.
	Abandoned

	// Broken means that the connection has failed: it is reset at once,
	// whatever is queued, so that it does not hold its port.
	Broken

	// parting means that this side has said a goodbye of the user's own and
	// nothing has come back yet: the peer is expected to close.
	parting
)

// patient reports whether the peer is worth waiting for.
func (f Fact) patient() bool {
	return f == Owed || f == SaidGoodbye || f == Underway || f == RestingHTTP2 || f == parting
}
