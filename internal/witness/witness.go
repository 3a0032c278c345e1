// Package witness lets the kernel ring of the tests see every connection that
// ends by our rules and every TIME_WAIT that we count, whatever test makes them.
// In a program nobody listens, and a connection pays for a few loads.
package witness

import (
	"net/netip"
	"sync/atomic"
)

// An Event is something that became of a connection.
type Event uint8

const (
	// Wrapped: a linger.Closer has the connection.
	Wrapped Event = iota

	// Ended: its ending has been reported.
	Ended

	// Forgotten: nobody looks any more whether a TIME_WAIT comes after that.
	// The kernel is still delivering, and Shutdown closes the accounts.
	Forgotten

	// TimeWait: the kernel has just been seen to hold a TIME_WAIT for it.
	TimeWait

	// Metered: a metrics.Meter counts it.
	Metered

	// Counted: the Meter has counted a TIME_WAIT for it.
	Counted
)

var hears atomic.Pointer[func(e Event, local, remote netip.AddrPort)]

// Hear has f told of every Event of the process from now on, by several
// goroutines at a time. It must not block.
func Hear(f func(e Event, local, remote netip.AddrPort)) { hears.Store(&f) }

// Tell tells of an Event of the connection between the addresses.
func Tell(e Event, local, remote netip.AddrPort) {
	if f := hears.Load(); f != nil {
		(*f)(e, local, remote)
	}
}
