package grpcpool

import (
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/lastack/lastack/internal/tcpaddr"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// An Event tells of a connection that has ended. What grpc-go says about it (a
// [google.golang.org/grpc/stats.ConnEnd]) comes before its goodbye is over, and
// knows neither how that went nor which calls there were.
type Event struct {
	// Address is what was dialled for: a server's address as its resolver has
	// it.
	Address string

	// Local and Remote are the connection's ends. Remote is that of a proxy, if
	// there is one.
	Local, Remote netip.AddrPort

	// Calls is how many calls were sent on the connection. A call that grpc-go
	// sends again counts where it is sent.
	Calls uint64

	// Ending is how the connection ended.
	Ending linger.Ending

	// Life is how long the connection was there for calls: from when it was made
	// until grpc-go closed it.
	Life time.Duration

	// Goodbye is how long it took from then until the connection was found to
	// have ended.
	Goodbye time.Duration
}

// An account follows one connection, for an observer. It is the connection's
// linger.Account, and keeps that of the Meter, if there is one.
type account struct {
	o       *observer
	conn    *metrics.Conn // or nil
	host    *metrics.Host // nil with conn
	address string
	born    time.Time

	calls atomic.Uint64 // that were sent
	open  atomic.Int64  // of them, those that have not ended

	// Written before the connection is shared.
	local, remote *net.TCPAddr

	closed time.Time // written by Closing, which comes before Ended
}

var _ linger.Account = (*account)(nil)

// account returns the account of a connection to the address, which host counts,
// if that is not nil.
func (o *observer) account(host *metrics.Host, address string) *account {
	a := &account{o: o, host: host, address: address, born: time.Now()}
	if host != nil {
		a.conn = host.Born(true)
	}
	return a
}

// made says that the account is c's, before anybody else has it.
func (a *account) made(c net.Conn) {
	a.local, _ = c.LocalAddr().(*net.TCPAddr)
	a.remote, _ = c.RemoteAddr().(*net.TCPAddr)
	if a.local != nil {
		a.o.accounts.Store(a.local, a)
	}
	a.settle()
}

// begin counts a call, and reports whether it is the first.
func (a *account) begin() (first bool) {
	first = a.calls.Add(1) == 1
	if a.open.Add(1) == 1 {
		a.settle()
	}
	return first
}

// end counts the end of a call.
func (a *account) end() {
	if a.open.Add(-1) == 0 {
		a.settle()
	}
}

// settle tells the Meter whether the connection is busy. Others may settle it
// meanwhile: whoever does so last, looks again after the last change.
func (a *account) settle() {
	for a.conn != nil {
		busy := a.open.Load() > 0
		if busy {
			a.conn.Busy()
		} else {
			a.conn.Rest()
		}
		if (a.open.Load() > 0) == busy {
			return
		}
	}
}

// Closing notes that the connection has been closed.
func (a *account) Closing() {
	a.closed = time.Now()
	if a.conn != nil {
		a.conn.Closing()
	}
}

// Ended tells how the connection ended.
func (a *account) Ended(e linger.Ending, hurried bool) {
	if a.conn != nil {
		a.conn.Ended(e, hurried)
	}
	if a.local != nil {
		a.o.accounts.Delete(a.local)
	}
	if a.o.events == nil {
		return
	}
	a.o.events(Event{
		Address: a.address,
		Local:   tcpaddr.Of(a.local),
		Remote:  tcpaddr.Of(a.remote),
		Calls:   a.calls.Load(),
		Ending:  e,
		Life:    a.closed.Sub(a.born),
		Goodbye: time.Since(a.closed),
	})
}

// TimeWait counts a TIME_WAIT.
func (a *account) TimeWait() {
	if a.conn != nil {
		a.conn.TimeWait()
	}
}
