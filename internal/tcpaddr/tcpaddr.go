// Package tcpaddr reads the addresses of TCP connections.
package tcpaddr

import (
	"net"
	"net/netip"
)

// Of returns the address of a *net.TCPAddr as a user would write it: one of IPv4
// that is mapped into IPv6 is IPv4. It is not valid if a is none, or nil.
func Of(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok || t == nil {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
