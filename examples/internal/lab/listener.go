package lab

import (
	"net"
	"net/netip"
	"sync/atomic"
)

// A Listener counts the connections that it accepts.
type Listener struct {
	net.Listener
	accepted atomic.Int64
}

// Listen listens on a port of loopback that nobody else uses.
func Listen() (*Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &Listener{Listener: l}, nil
}

// Accept is the listener's, and counts.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return c, err
}

// Accepted returns how many connections were accepted.
func (l *Listener) Accepted() int { return int(l.accepted.Load()) }

// AddrPort returns where the listener listens.
func (l *Listener) AddrPort() netip.AddrPort { return l.Addr().(*net.TCPAddr).AddrPort() }
