package dialer

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/lastack/lastack/internal/neterr"
)

// ErrPortsExhausted is what [errors.Is] finds in the error of a dial for which
// there was no local port: its Cause is PortsExhausted or SourceExhausted. Such
// an error is also [syscall.EADDRNOTAVAIL], whatever the kernel said.
var ErrPortsExhausted = errors.New("local ports are exhausted")

// A Cause is why the system could not assign an address or find a way.
type Cause uint8

const (
	// Unexplained is the zero Cause, which no Error of a Dialer has.
	Unexplained Cause = iota

	// PortsExhausted means that every port of the range is taken for
	// connections from that source to that destination, or by sockets that
	// were bound to it by number.
	PortsExhausted

	// SourceExhausted means that every port of the source address is taken,
	// whatever the destination: it was bound before connect, without
	// IP_BIND_ADDRESS_NO_PORT.
	SourceExhausted

	// SourceNotLocal means that the source is no address of this host.
	SourceNotLocal

	// NoSource means that this host has no address from which it could connect
	// there, as when IPv6 is switched off.
	NoSource

	// NoRoute means that this host has no route there, as where it has IPv6
	// for itself only.
	NoRoute

	// PortInUse means that the source port was given by number, and that
	// another socket has it: one that listens, or one that does not share it
	// (SO_REUSEADDR on both).
	PortInUse

	// ConnectionExists means that the source port was given by number, and
	// that there is a connection from it to that destination.
	ConnectionExists

	// ConnectionInTimeWait means that the source port was given by number, and
	// that its last connection to that destination is in TIME_WAIT, where a new
	// one could not be told from it: it had no TCP timestamps.
	ConnectionInTimeWait

	numCauses
)

var causeNames = [numCauses]string{
	"unexplained", "ports_exhausted", "source_exhausted", "source_not_local", "no_source", "no_route",
	"port_in_use", "connection_exists", "connection_in_time_wait",
}

// String returns the name that metrics and logs use, such as "ports_exhausted".
func (c Cause) String() string {
	if c < numCauses {
		return causeNames[c]
	}
	return fmt.Sprintf("Cause(%d)", uint8(c))
}

// An Error explains why a connection got no local address, port or route. It
// unwraps to the error of the net package, a [*net.OpError], and has its Timeout
// and Temporary. What is not known is zero.
//
// The counts are of about the time of the failure: dials that fail within a
// second share them, so that a flood of failures does not become one of
// counting.
type Error struct {
	Cause       Cause
	Destination netip.AddrPort

	// Sources are the local addresses that were tried; their port is that
	// which was given by number, else zero.
	Sources []netip.AddrPort

	// Range is where the kernel looked for a port, of each source, and Reserved
	// how many of its ports it must not take (net.ipv4.ip_local_reserved_ports).
	// Fixed says that it is Dialer.FixedPorts, none of which was ready.
	Range    PortRange
	Reserved int
	Fixed    bool

	// States are the sockets that have the ports, by state, in the words of
	// metrics.Sockets: under PortsExhausted those from the sources to the
	// destination, else those at the sources. It is nil if they were not counted.
	States map[string]int

	// Other is how many of the range are neither counted nor reserved, where
	// the kernel says that there is none: other sockets were bound to them by
	// number, which the kernel does not share, or they have come free since. Of
	// Fixed ports they are those that rest, and those that others have.
	Other int

	// Settings are the kernel's, by name: net.ipv4.tcp_tw_reuse and the like.
	Settings map[string]int64

	// Advice is one sentence on what to do.
	Advice string

	Err error // of the net package
}

// Error returns the text of the net package's error, and the explanation.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Err.Error())
	for _, s := range []string{e.explanation(), e.Advice} {
		if s != "" {
			b.WriteString(": ")
			b.WriteString(s)
		}
	}
	return b.String()
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// Is makes an Error for want of a port ErrPortsExhausted and
// [syscall.EADDRNOTAVAIL].
func (e *Error) Is(target error) bool {
	exhausted := e.Cause == PortsExhausted || e.Cause == SourceExhausted
	return exhausted && (target == ErrPortsExhausted || target == syscall.EADDRNOTAVAIL)
}

// Timeout reports what the net package's error does.
func (e *Error) Timeout() bool {
	return neterr.Timeout(e.Err)
}

// Temporary reports what the net package's error does.
func (e *Error) Temporary() bool {
	return neterr.Temporary(e.Err)
}

// explanation says the cause with its figures.
func (e *Error) explanation() string {
	switch e.Cause {
	case PortsExhausted:
		return e.exhaustion() + " for " + e.Destination.String() + e.counted()
	case SourceExhausted:
		return e.exhaustion() + ", whatever the destination" + e.counted()
	case SourceNotLocal:
		return e.source() + " is not an address of this host"
	case NoSource:
		return "this host has no address from which to reach " + e.Destination.String()
	case NoRoute:
		s := "this host has no route to " + e.Destination.String()
		if len(e.Sources) > 0 {
			s += " from " + e.source()
		}
		return s
	case PortInUse:
		return "another socket has " + e.source() + e.counted()
	case ConnectionExists:
		return "there is a connection from " + e.source() + e.counted()
	case ConnectionInTimeWait:
		return "the last connection from " + e.source() + " is in TIME_WAIT, and has left no timestamp by which to tell a new one from it"
	}
	return ""
}

// exhaustion is "all 1000 local ports of 20000-20999 at 10.0.0.1 are taken".
func (e *Error) exhaustion() string {
	s := "all local ports"
	if e.Range != (PortRange{}) {
		s = fmt.Sprintf("all %d local ports of %v", e.Range.Len()-e.Reserved, e.Range)
	}
	if e.Fixed {
		s = strings.Replace(s, "local", "fixed", 1)
	}
	switch len(e.Sources) {
	case 0:
	case 1:
		s += " at " + e.source()
	default:
		s += fmt.Sprintf(" at each of %d addresses", len(e.Sources))
	}
	return s + " are taken"
}

// counted is " (established 10, time_wait 990)".
func (e *Error) counted() string {
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(e.States)) {
		parts = append(parts, fmt.Sprintf("%s %d", state, e.States[state]))
	}
	switch {
	case e.Other > 0 && e.Fixed:
		parts = append(parts, fmt.Sprintf("at rest or bound by others %d", e.Other))
	case e.Other > 0:
		parts = append(parts, fmt.Sprintf("bound by others %d", e.Other))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// source is the first of e.Sources, without a port that was not given.
func (e *Error) source() string {
	if len(e.Sources) == 0 {
		return "the source"
	}
	if s := e.Sources[0]; s.Port() != 0 {
		return s.String()
	}
	return e.Sources[0].Addr().String()
}
