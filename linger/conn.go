package linger

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lastack/lastack/internal/sockopt"
	"github.com/lastack/lastack/internal/tcpaddr"
	"github.com/lastack/lastack/internal/witness"
)

// tcpConn hides the embedded field's name from the API.
type tcpConn = net.TCPConn

// A Conn is a *net.TCPConn that ends by its Closer's Policy. Everything but
// Close, CloseWrite and File is the standard library's own: vectored writes,
// sendfile, splice, deadlines, SyscallConn.
//
// Its methods may be called concurrently.
type Conn struct {
	*tcpConn

	closer  *Closer
	raw     syscall.RawConn // nil: the connection was closed before it was wrapped
	peeker  *sockopt.Peeker
	account Account // or nil
	local   netip.AddrPort
	remote  netip.AddrPort
	preset  bool // TCP_LINGER2 < 0 is set
	served  bool // accepted by a Listener: our last word is not answered

	sending bool // the peer was, at Close; written before the farewell begins

	fact    atomic.Uint32 // a Fact
	closed  atomic.Bool
	lent    atomic.Bool   // somebody else has a descriptor, by File
	silence atomic.Int64  // at Close; negative: the peer had closed before, or it is not known
	news    chan struct{} // holds one when a Fact was told after Close

	mu       sync.Mutex    // guards what follows; never held together with Closer.mu
	counted  bool          // the Closer waits for the ending
	onClosed func()        // or nil
	farewell *os.File      // the duplicate that waits for the peer, or nil
	over     bool          // how holds the ending
	how      Ending        // written before ended is closed
	ended    chan struct{} // closed when over; nil unless awaited
}

var _ interface {
	net.Conn
	syscall.Conn
} = (*Conn)(nil)

// Conn returns c wrapped, so that closing it ends it by the Closer's Policy.
// The caller must not use c itself any more.
func (cl *Closer) Conn(c *net.TCPConn) *Conn {
	conn := &Conn{tcpConn: c, closer: cl, news: make(chan struct{}, 1)}
	conn.silence.Store(-1)
	conn.local, conn.remote = tcpaddr.Of(c.LocalAddr()), tcpaddr.Of(c.RemoteAddr())
	if raw, err := c.SyscallConn(); err == nil {
		conn.raw = raw
		conn.peeker = sockopt.NewPeeker(raw)
	}
	witness.Tell(witness.Wrapped, conn.local, conn.remote)
	return conn
}

// SetAccount has a told what becomes of the connection. It must be called
// before the connection is shared.
func (c *Conn) SetAccount(a Account) { c.account = a }

// PresetFinReset arms FIN-then-reset now, so that it also serves when the
// process exits or is killed before it can close the connection. It does
// nothing under Policy.Fallback Plain, or where the platform has no such
// option. It must be called before the connection is shared.
//
// Set it only on a connection whose peer's last bytes are its farewell, as in
// request and response: see FinThenReset.
func (c *Conn) PresetFinReset() {
	if c.raw != nil && c.closer.Policy.orDefault().Fallback != Plain {
		c.preset = sockopt.SetFinReset(c.raw, true) == nil
	}
}

// Tell says what the owner knows of the connection. The last Fact told before
// the end counts; one told during a farewell may end it at once.
func (c *Conn) Tell(f Fact) {
	c.fact.Store(uint32(f))
	c.heed(f)
}

// Sent says that the writing which Sending announced is done: then becomes the
// Fact, unless another has been told meanwhile.
func (c *Conn) Sent(then Fact) {
	if c.fact.CompareAndSwap(uint32(Sending), uint32(then)) {
		c.heed(then)
	}
}

// Sending reports whether Sending is the last Fact told.
func (c *Conn) Sending() bool { return c.told() == Sending }

// heed lets a farewell that is under way know of a new Fact.
func (c *Conn) heed(f Fact) {
	if !c.closed.Load() {
		return
	}
	select {
	case c.news <- struct{}{}:
	default:
	}
	if !f.patient() {
		c.hasten()
	}
}

func (c *Conn) told() Fact { return Fact(c.fact.Load()) }

// OnClosed has f called by the first Close, or at once if that has been: from
// then on [Closer.Shutdown] waits for the connection's ending. It may be called
// once, and f must not block.
func (c *Conn) OnClosed(f func()) {
	c.mu.Lock()
	c.onClosed = f
	counted := c.counted
	c.mu.Unlock()
	if counted {
		f()
	}
}

// awaitable returns a channel that is closed when the connection has ended.
func (c *Conn) awaitable() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		c.ended = make(chan struct{})
		if c.over {
			close(c.ended)
		}
	}
	return c.ended
}

// setEnded notes how the connection has ended.
func (c *Conn) setEnded(e Ending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over, c.how = true, e
	if c.ended != nil {
		close(c.ended)
	}
}

// hasten ends the wait of a farewell, if one is under way.
func (c *Conn) hasten() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.farewell != nil {
		c.farewell.SetReadDeadline(time.Unix(1, 0))
	}
}

// Pending looks at the socket of a connection at rest. It reports whether data
// waits to be read, and whether the peer has closed or reset the connection.
// It neither blocks nor allocates. One goroutine at a time may call it. Where
// the platform does not tell, it reports neither.
func (c *Conn) Pending() (data, closed bool) {
	if c.raw == nil {
		return false, true
	}
	data, closed = c.peeker.Look()
	if data {
		info, err := sockopt.ReadInfo(c.raw)
		closed = err == nil && info.State != sockopt.Established
	}
	return data, closed
}

// Silence returns for how long nothing has come from the peer, until now or until
// Close, and whether the connection was open then: the peer had neither closed
// nor reset it. Where the platform does not tell it returns 0 and false.
func (c *Conn) Silence() (d time.Duration, open bool) {
	if c.raw != nil {
		if info, err := sockopt.ReadInfo(c.raw); err == nil {
			return info.Silence, info.State == sockopt.Established
		}
	}
	d = time.Duration(c.silence.Load()) // leave has noted it before it closed
	return max(0, d), d >= 0
}

// File returns a duplicate of the connection's descriptor, as [net.TCPConn.File]
// does. The connection then lasts until the duplicate is closed as well, here or
// in the process that it was handed to, so it is no more the Closer's to end:
// Close closes this side's descriptor and nothing else, and reports Unknown.
// To set an option use SyscallConn, which leaves the ending to the Closer.
func (c *Conn) File() (*os.File, error) {
	c.lent.Store(true)
	return c.tcpConn.File()
}

// Close ends the connection by its Closer's Policy. It returns at once, and
// whoever is blocked in a method of c gets [net.ErrClosed]; a farewell goes on
// by itself. A second Close is a no-op.
func (c *Conn) Close() error { return c.close(false) }

// close is Close. Sending says that the peer is known to be sending.
func (c *Conn) close(sending bool) error {
	if !c.closed.CompareAndSwap(false, true) {
		return nil
	}
	c.sending = sending
	c.closer.enter() // first: who sees it leave in the accounts may call Shutdown
	if c.account != nil {
		c.account.Closing()
	}
	c.mu.Lock()
	c.counted = true
	f := c.onClosed
	c.mu.Unlock()
	if f != nil {
		f()
	}
	if c.told() == Sending && c.postpone() {
		return nil
	}
	return c.leave()
}
