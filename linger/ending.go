package linger

import (
	"fmt"
	"strconv"
)

// An Ending is how a connection came to its end, and so who pays for it: the
// side that sends its FIN first keeps a TIME_WAIT socket for a minute
// (RFC 9293 section 3.6.1), unless the connection is reset.
type Ending uint8

const (
	// Unknown is the ending of a connection that the Closer could not see into:
	// one that is not a *net.TCPConn, or that lives on in somebody else's
	// descriptor (Conn.File).
	Unknown Ending = iota

	// PeerFirst means that the peer sent its FIN first. This side went through
	// CLOSE_WAIT and LAST_ACK and keeps nothing; the peer keeps the TIME_WAIT.
	PeerFirst

	// FinReset means that this side sent its FIN first, and the kernel reset
	// the connection once the peer's kernel had acknowledged it. The peer's
	// application read a clean end of file; neither side keeps a TIME_WAIT.
	// On a connection that a Listener has accepted the reset comes when the
	// peer has closed too, or not at all if it never does.
	FinReset

	// Aborted means that this side reset the connection. Neither side keeps a
	// TIME_WAIT; what the peer's application had not read yet may be lost.
	Aborted

	// LocalFirst means that this side sent its FIN first and paid for it with
	// a TIME_WAIT.
	LocalFirst

	// Lost means that the connection had failed before this side closed it:
	// the peer reset it, or it timed out. Nobody keeps a TIME_WAIT.
	Lost

	numEndings
)

// Endings lists every Ending, in the order of the constants.
func Endings() []Ending {
	all := make([]Ending, numEndings)
	for i := range all {
		all[i] = Ending(i)
	}
	return all
}

var endingNames = [numEndings]string{"unknown", "peer_first", "fin_reset", "aborted", "local_first", "lost"}

// String returns the name that metrics and logs use, such as "peer_first".
func (e Ending) String() string {
	if e < numEndings {
		return endingNames[e]
	}
	return "Ending(" + strconv.Itoa(int(e)) + ")"
}

// MarshalText returns the name that String returns.
func (e Ending) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText takes the name that String returns.
func (e *Ending) UnmarshalText(text []byte) error {
	for i, name := range endingNames {
		if name == string(text) {
			*e = Ending(i)
			return nil
		}
	}
	return fmt.Errorf("linger: no ending is called %q", text)
}
