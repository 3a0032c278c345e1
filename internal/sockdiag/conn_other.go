//go:build !linux

package sockdiag

import (
	"errors"
	"net/netip"
)

// A Conn exists on Linux only.
type Conn struct{}

// Open returns an error that is [errors.ErrUnsupported].
func Open() (*Conn, error) { return nil, errors.ErrUnsupported }

// Close returns an error that is [errors.ErrUnsupported].
func (*Conn) Close() error { return errors.ErrUnsupported }

// Lookup returns an error that is [errors.ErrUnsupported].
func (*Conn) Lookup(local, remote netip.AddrPort) (State, bool, error) {
	return 0, false, errors.ErrUnsupported
}

// Find returns an error that is [errors.ErrUnsupported].
func (*Conn) Find(local, remote netip.AddrPort) (Socket, bool, error) {
	return Socket{}, false, errors.ErrUnsupported
}

// FindOn returns an error that is [errors.ErrUnsupported].
func (*Conn) FindOn(device uint32, local, remote netip.AddrPort) (Socket, bool, error) {
	return Socket{}, false, errors.ErrUnsupported
}

// Each returns an error that is [errors.ErrUnsupported].
func (*Conn) Each(states uint32, fn func(Socket) bool) error { return errors.ErrUnsupported }

// EachHeard returns an error that is [errors.ErrUnsupported].
func (*Conn) EachHeard(states uint32, fn func(Socket) bool) error { return errors.ErrUnsupported }
