// Package sockdiag asks the Linux kernel about TCP sockets through the
// NETLINK_SOCK_DIAG protocol: about one connection by its exact addresses,
// or about all sockets in given states.
//
// It is how lastack knows, rather than guesses, whether a connection left a
// TIME_WAIT. No privilege is needed. The answers are about the network
// namespace in which [Open] was called.
//
// On other systems [Open] returns an error that is [errors.ErrUnsupported].
package sockdiag

import (
	"net/netip"
	"strconv"
	"time"
)

// A State is a TCP state, with the kernel's numbers.
type State uint8

// The states of a TCP socket.
const (
	Established State = 1
	SynSent     State = 2
	SynRecv     State = 3
	FinWait1    State = 4
	FinWait2    State = 5
	TimeWait    State = 6
	Close       State = 7
	CloseWait   State = 8
	LastAck     State = 9
	Listen      State = 10
	Closing     State = 11
)

// AllStates is the mask that makes [Conn.Each] visit every socket.
const AllStates uint32 = 1<<(Closing+1) - 1<<Established

var stateNames = [...]string{
	Established: "established",
	SynSent:     "syn_sent",
	SynRecv:     "syn_received",
	FinWait1:    "fin_wait_1",
	FinWait2:    "fin_wait_2",
	TimeWait:    "time_wait",
	Close:       "closed",
	CloseWait:   "close_wait",
	LastAck:     "last_ack",
	Listen:      "listen",
	Closing:     "closing",
}

// String returns the name that OpenTelemetry's attribute
// network.connection.state uses, such as "time_wait".
func (s State) String() string {
	if int(s) < len(stateNames) && stateNames[s] != "" {
		return stateNames[s]
	}
	return "State(" + strconv.Itoa(int(s)) + ")"
}

// Mask returns the bit that stands for s in the states of [Conn.Each].
func (s State) Mask() uint32 { return 1 << s }

// timerTimeWait is the kernel's number for the timer of a mini-socket.
const timerTimeWait = 3

// A Socket is what the kernel says about one TCP socket.
type Socket struct {
	// Local and Remote are its addresses. An IPv4 connection of an IPv6
	// socket has IPv4 addresses here. Zones are not filled in.
	Local, Remote netip.AddrPort

	State State

	// Timer is the timer that runs on the socket, as in tcp(7)'s
	// inet_diag: 0 none, 1 retransmission, 2 keep-alive, 3 TIME_WAIT,
	// 4 zero window probe.
	Timer uint8

	// Expires is how long that timer still runs.
	Expires time.Duration

	// Unread is how many received bytes nobody has read; the FIN of a peer
	// that has closed counts as one.
	Unread uint32

	// Heard is how long ago the last segment came from the peer. Only
	// [Conn.EachHeard] asks for it.
	Heard time.Duration

	// Inode is 0 for sockets that no process holds, which every TIME_WAIT is.
	Inode uint32

	// UID is the user who made the socket; the kernel forgets it for a
	// TIME_WAIT and says 0.
	UID uint32
}

// Mini reports whether all that is left of the socket is a mini-socket, which
// belongs to the kernel and only waits for its timer. Its state is TimeWait or
// FinWait2.
func (s Socket) Mini() bool {
	return s.Timer == timerTimeWait && (s.State == TimeWait || s.State == FinWait2)
}
