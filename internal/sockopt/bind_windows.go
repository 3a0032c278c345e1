package sockopt

import (
	"errors"
	"net/netip"
)

// BindFD is not possible here: ConnectEx wants the socket bound by the net
// package.
func BindFD(uintptr, netip.Addr) error { return errors.ErrUnsupported }

// BindPortFD is as impossible.
func BindPortFD(uintptr, netip.AddrPort) error { return errors.ErrUnsupported }

// LocalAddrFD returns no address: not known.
func LocalAddrFD(uintptr) netip.AddrPort { return netip.AddrPort{} }
