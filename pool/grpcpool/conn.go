package grpcpool

import (
	"net"
	"sync/atomic"
	"syscall"

	"github.com/lastack/lastack/internal/sockopt"
	"github.com/lastack/lastack/linger"
)

// lingerConn hides the embedded field's name.
type lingerConn = linger.Conn

// A conn is what a transport of grpc-go reads and writes. The transport says
// nothing about the end of a connection but what it writes and that it closes,
// twice and from several goroutines. A conn gathers from that what package
// linger wants to know.
//
// grpc-go looks for more than a net.Conn: a syscall.Conn, for channelz and
// credentials, which is the embedded one; and ReadOnReady, without which each
// connection at rest holds a read buffer of 32 KiB.
type conn struct {
	*lingerConn
	raw   syscall.RawConn // nil: it was closed before it was wrapped
	ready readyReader     // one goroutine reads
	said  speech

	closed atomic.Bool
}

var _ interface {
	net.Conn
	syscall.Conn
} = (*conn)(nil)

func newConn(c *linger.Conn) *conn {
	cn := &conn{lingerConn: c}
	if raw, err := c.SyscallConn(); err == nil {
		cn.raw = raw
		cn.ready.init(raw)
	}
	return cn
}

// Write writes p, and listens to what is said.
func (c *conn) Write(p []byte) (int, error) {
	c.said.hear(p)
	return c.lingerConn.Write(p)
}

// Close ends the connection. It returns at once, and again and again.
func (c *conn) Close() error {
	if !c.closed.CompareAndSwap(false, true) {
		return nil
	}
	c.Tell(c.fact())
	return c.lingerConn.Close()
}

// fact returns how the connection is to be ended.
func (c *conn) fact() linger.Fact {
	said := c.said.last()
	if c.raw != nil {
		info, err := sockopt.ReadInfo(c.raw)
		if err == nil && info.Unsent > 0 && info.Retransmits > 0 {
			// What the peer's kernel does not acknowledge may be a black hole's,
			// and then the port would be held for as long as the kernel tries. All
			// that can be lost is what the transport gives up as well.
			return linger.Broken
		}
		if said == goAway && info.Unsent <= goodbyeLen {
			// Some peers close as soon as they are told: HAProxy does. Its FIN
			// and ours would cross, so it is asked whether it has read that. A
			// peer that has not acknowledged more than that is not asked: it
			// may be a black hole.
			return linger.RestingHTTP2
		}
	}
	switch said {
	case unused:
		return linger.Broken // nothing was asked of the peer: a dial that lost the race, or failed
	case closeNotify:
		return linger.Owed
	}
	// The transport closes when every call is done, or gives up those that are
	// not. Either way nobody waits for what is under way.
	return linger.Abandoned
}
