// Package sockopt reads and sets what the kernel knows about a TCP socket and
// the standard library has no word for.
//
// Every function is a leaf of one or two system calls. Where the platform has
// no such call it returns [errors.ErrUnsupported], and the caller takes the
// portable way.
package sockopt

import (
	"sync/atomic"
	"time"
)

// Portable makes every function behave as on a platform without Linux's
// options, so that the portable way can be tested where the tests run.
var Portable atomic.Bool

// A State is the state of a TCP connection, by the kernel's numbers.
type State uint8

// The states that matter to a side that is about to close.
const (
	Established State = 1
	FinWait1    State = 4
	FinWait2    State = 5
	Closed      State = 7 // reset, or both sides have closed
	CloseWait   State = 8
)

// Info is what the kernel knows about a connection. The zero Info is that of
// a platform which does not tell.
type Info struct {
	Known bool // the rest is meaningful

	State  State
	RTT    time.Duration // smoothed
	Unread int           // bytes received that nobody has read
	Unsent int           // bytes written, and a FIN, that the peer has not acknowledged

	Acked uint64 // bytes that the peer has acknowledged

	// Window is how much more the peer has room for, beyond what it has
	// acknowledged. With none, not even a FIN can be sent. Negative: the kernel
	// does not tell (Linux before 5.4).
	Window int

	// Timestamps reports whether both sides put timestamps on their segments
	// (RFC 7323), as agreed when the connection was made.
	Timestamps bool

	// Retransmits is how often in a row the kernel has sent the oldest byte of
	// Unsent again because nothing acknowledged it in time.
	Retransmits int

	// Silence is how long ago the last data came, or the connection was made.
	Silence time.Duration

	// PeerSpokeLast reports whether the last data on the connection came from
	// the peer, or this side never sent any. A tie, by the kernel's clock of
	// milliseconds, counts as ours.
	PeerSpokeLast bool
}
