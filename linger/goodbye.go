package linger

import (
	"context"
	"errors"
	"net"
	"time"
)

// Goodbye runs the goodbye of the user's own protocol on c, closes c, and
// returns how the connection ended. It serves either side:
//
//   - The side that leaves says "I'm done", reads "goodbye", and returns nil:
//     the peer has spoken last, and the connection ends at once, FIN-then-reset
//     where the platform has it.
//   - The side that must not close first (a server) says "we're done" and
//     returns nil: this side has spoken last, and the peer is given up to
//     Policy.Wait to close. If it does not, the connection is reset, unless
//     something is unacknowledged or Policy.Fallback is Plain.
//
// The exchange gets c wrapped, so that Goodbye sees who spoke last; a function
// that needs c's own type closes over it. c may be a [*Conn], a *net.TCPConn,
// or a layer over one with a NetConn method, such as *tls.Conn; closing c must
// close what lies below. A *net.TCPConn that no Closer owns ends by the zero
// Policy. What lies over anything else is closed plainly: Unknown.
//
// When ctx ends, the exchange's reads and writes fail. An exchange that fails
// ends the connection as one that nothing is known of. Goodbye returns the
// exchange's error, or ctx's cause when it could not wait for the ending. The
// ending is Unknown then, unless it came just in time; the farewell goes on
// within its bounds.
func Goodbye(ctx context.Context, c net.Conn, exchange func(net.Conn) error) (Ending, error) {
	conn, owned := underlying(c)
	if conn == nil {
		return Unknown, errors.Join(runExchange(ctx, &turns{Conn: c}, exchange), c.Close())
	}
	if err := conn.closer.Policy.Check(); err != nil {
		return Unknown, errors.Join(err, c.Close())
	}
	if conn.closed.Load() {
		return Unknown, net.ErrClosed
	}
	ended := conn.awaitable()
	t := &turns{Conn: c}
	err := runExchange(ctx, t, exchange)
	switch {
	case err != nil:
		conn.Tell(Unsure)
	case t.ours:
		conn.Tell(parting)
	default:
		conn.Tell(Complete)
	}
	if !owned && c != net.Conn(conn.tcpConn) {
		// The layer above will close the *net.TCPConn below it, which the
		// Conn has only borrowed. Say its goodbye (close_notify), then end.
		if w, ok := c.(interface{ CloseWrite() error }); ok {
			w.CloseWrite()
		}
		conn.Close()
		c.Close()
	} else if owned {
		c.Close()
	} else {
		conn.Close()
	}
	select {
	case <-ended:
		return conn.how, err
	case <-ctx.Done():
		if err == nil {
			err = context.Cause(ctx)
		}
		return Unknown, err
	}
}

// underlying returns the Conn below c, and whether closing c closes it as a
// Conn. A bare *net.TCPConn gets a Closer of its own.
func underlying(c net.Conn) (conn *Conn, owned bool) {
	for {
		switch x := c.(type) {
		case *Conn:
			return x, true
		case *net.TCPConn:
			return new(Closer).Conn(x), false
		case interface{ NetConn() net.Conn }:
			c = x.NetConn()
		default:
			return nil, false
		}
	}
}

// runExchange runs the exchange until it returns, or its deadline has let it.
func runExchange(ctx context.Context, c net.Conn, exchange func(net.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if deadline, ok := ctx.Deadline(); ok {
		c.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	return exchange(c)
}

// turns notes whose turn the last one was.
type turns struct {
	net.Conn
	ours bool // this side spoke last
}

func (t *turns) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 {
		t.ours = false
	}
	return n, err
}

func (t *turns) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	if n > 0 {
		t.ours = true
	}
	return n, err
}
