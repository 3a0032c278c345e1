//go:build unix

package sockopt

import (
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
)

// BindFD binds a socket to the source address, whose family is the socket's,
// and to no port. It is for a [net.Dialer.Control] function.
func BindFD(fd uintptr, source netip.Addr) error {
	return BindPortFD(fd, netip.AddrPortFrom(source, 0))
}

// BindPortFD is BindFD with a port.
func BindPortFD(fd uintptr, local netip.AddrPort) error {
	var sa syscall.Sockaddr
	if source := local.Addr(); source.Is4() {
		sa = &syscall.SockaddrInet4{Addr: source.As4(), Port: int(local.Port())}
	} else {
		sa = &syscall.SockaddrInet6{Addr: source.As16(), Port: int(local.Port()), ZoneId: zoneID(source.Zone())}
	}
	return os.NewSyscallError("bind", syscall.Bind(int(fd), sa))
}

func zoneID(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if ifi, err := net.InterfaceByName(zone); err == nil {
		return uint32(ifi.Index)
	}
	n, _ := strconv.ParseUint(zone, 10, 32) // or bind says that there is none
	return uint32(n)
}

// LocalAddrFD returns the address to which a socket has been bound. Its port is
// 0 if it is bound to none.
func LocalAddrFD(fd uintptr) netip.AddrPort {
	sa, err := syscall.Getsockname(int(fd))
	if err != nil {
		return netip.AddrPort{}
	}
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
