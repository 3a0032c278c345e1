package pool

import (
	"crypto/tls"
	"math"
	"net"
	"net/http"
	"sync"
	"syscall"
)

// Protocols of the user's own (Base.TLSNextProto) get a TLS connection and make
// a RoundTripper of it. http.Transport takes that for a connection that any
// number of requests share, and so does the pool; but it also knows when such a
// connection is in use, and closes it in the end.

// An altConn is a connection of such a protocol. It has the methods by which
// net/http makes a ClientConn of what TLSNextProto returns.
type altConn struct {
	rt   http.RoundTripper
	conn *tls.Conn

	mu       sync.Mutex
	inFlight int
	err      error // why it takes no more requests
}

// A nextProto is a function of TLSNextProto.
type nextProto = func(authority string, c *tls.Conn) http.RoundTripper

// adaptProtocols has the protocols make connections that net/http can use alone.
func adaptProtocols(protocols map[string]nextProto) {
	for name, upgrade := range protocols {
		protocols[name] = func(authority string, c *tls.Conn) http.RoundTripper {
			rt := upgrade(authority, c)
			if _, failed := rt.(interface{ RoundTripErr() error }); failed {
				return rt // net/http asks for the error
			}
			return &altConn{rt: rt, conn: c}
		}
	}
}

// RoundTrip sends a request, for which a slot is reserved.
func (a *altConn) RoundTrip(req *http.Request) (*http.Response, error) {
	defer a.Release()
	resp, err := a.rt.RoundTrip(req)
	switch {
	case err == nil && resp.Body == nil:
		resp.Body = http.NoBody
	case err != nil && (notSentHTTP2(err) || isClosed(a.conn)):
		a.Close()
	}
	return resp, err
}

func (a *altConn) Close() error {
	a.mu.Lock()
	a.err, a.inFlight = net.ErrClosed, 0
	a.mu.Unlock()
	return a.conn.Close()
}

func (a *altConn) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

func (a *altConn) Reserve() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.inFlight++
	}
	return a.err
}

func (a *altConn) Release() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inFlight = max(0, a.inFlight-1)
}

func (a *altConn) Available() int {
	if a.Err() != nil {
		return 0
	}
	return math.MaxInt32
}

func (a *altConn) InFlight() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.inFlight
}

// isClosed reports whether this side has closed the connection, as a protocol
// may that has given it up.
func isClosed(c *tls.Conn) bool {
	sc, ok := c.NetConn().(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}
