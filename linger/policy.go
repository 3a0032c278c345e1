package linger

import (
	"fmt"
	"time"
)

// A Policy says how far an ending may go. The zero Policy is the good default:
// wait up to two seconds for a peer that owes a FIN, then FIN-then-reset where
// that is safe, else a plain close.
type Policy struct {
	// Wait bounds the wait for the FIN of a peer that has been told goodbye,
	// or that owes one, and the time in which the client of an accepted
	// connection must acknowledge some of what it has not.
	// If zero, it is 2 seconds.
	// If negative, nothing is waited for.
	Wait time.Duration

	// Fallback is what happens when the peer does not close first.
	Fallback Fallback

	// SparePeer resets a connection that the peer has closed first, once
	// everything is read and acknowledged, which frees the peer's TIME_WAIT
	// too. The reset may be lost, and then the peer keeps its TIME_WAIT.
	SparePeer bool
}

// RFC6455 is the Policy of a server that is to close first and to keep the
// TIME_WAIT itself, as RFC 6455 section 7.1.1 wants it of a WebSocket server:
// it can accept the same client port again all the same, while its client could
// not connect from it. Each connection then ends as LocalFirst unless the client
// was faster.
//
// The zero Policy lets a server close first too, and spares both sides.
var RFC6455 = Policy{Fallback: Plain}

// A Fallback is the way to end a connection whose peer does not close first.
type Fallback uint8

const (
	// FinThenReset sends FIN and has the kernel reset the connection when the
	// FIN is acknowledged: the peer reads all data and a clean end of file,
	// and neither side keeps a TIME_WAIT. It is taken when the exchange is
	// complete or abandoned, because a proxy on the way may drop data that it
	// still holds when the reset comes; else the connection is closed plainly.
	// An accepted connection is reset when its client has closed too, which
	// needs no fact: see "Servers" in the package comment.
	// It is the default. Platforms other than Linux close plainly.
	FinThenReset Fallback = iota

	// Abort resets (SO_LINGER with a timeout of zero), once the peer's kernel
	// has acknowledged everything and nothing is left to read. Choose it where
	// the owner of the connections vouches that the peer's application, and
	// any proxy before it, needs nothing any more when they are closed: on a
	// connection whose exchange is not known to be complete it can lose data.
	Abort

	// Plain closes and accepts the TIME_WAIT.
	Plain
)

const defaultWait = 2 * time.Second

// wait returns how long to wait for the peer's FIN; 0 is not at all.
func (p Policy) wait() time.Duration {
	switch {
	case p.Wait == 0:
		return defaultWait
	case p.Wait < 0:
		return 0
	}
	return p.Wait
}

// orphanTime is how long the kernel may go on sending on a connection that is
// closed, to a peer that acknowledges nothing: as long as any goodbye is waited
// for, and time to send again four or five times, also over a long way (the
// kernel doubles the time between two attempts from 200 ms and two or three
// round trips).
func (p Policy) orphanTime(rtt time.Duration) time.Duration {
	return p.wait() + 3*time.Second + 8*rtt
}

// A PolicyError says which field of a Policy cannot be used.
type PolicyError struct {
	Field string
	Value any
}

func (e *PolicyError) Error() string {
	return fmt.Sprintf("linger: invalid Policy.%s: %v", e.Field, e.Value)
}

// Check returns a [*PolicyError] if the Policy cannot be used, else nil.
func (p Policy) Check() error {
	if p.Fallback > Plain {
		return &PolicyError{"Fallback", uint8(p.Fallback)}
	}
	return nil
}

// orDefault returns p, or the zero Policy where p cannot be used.
func (p Policy) orDefault() Policy {
	if p.Check() != nil {
		return Policy{}
	}
	return p
}
