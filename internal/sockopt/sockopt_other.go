//go:build !linux

package sockopt

import (
	"errors"
	"syscall"
	"time"
)

// ReadInfo reads what the kernel knows about the connection.
func ReadInfo(syscall.RawConn) (Info, error) { return Info{}, errors.ErrUnsupported }

// PeerHadClosed reports whether a connection that is Closed was reset only
// after the peer's FIN had come.
func PeerHadClosed(syscall.RawConn) bool { return false }

// Multipath reports whether the socket is known to speak Multipath TCP.
func Multipath(syscall.RawConn) bool { return false }

// WillAbort reports whether a close is known to reset the connection.
func WillAbort(syscall.RawConn) bool { return false }

// SetFinReset is TCP_LINGER2 < 0, which only Linux has.
func SetFinReset(syscall.RawConn, bool) error { return errors.ErrUnsupported }

// SetFinResetFD is SetFinReset for a [net.Dialer.Control] function.
func SetFinResetFD(uintptr, bool) error { return errors.ErrUnsupported }

// SetDeaf is a socket filter, as only Linux has it.
func SetDeaf(syscall.RawConn, bool) error { return errors.ErrUnsupported }

// CloseWriteDeaf needs one.
func CloseWriteDeaf(syscall.RawConn) error { return errors.ErrUnsupported }

// SetUserTimeoutFD is TCP_USER_TIMEOUT.
func SetUserTimeoutFD(uintptr, time.Duration) error { return errors.ErrUnsupported }

// CapUserTimeout is TCP_USER_TIMEOUT, where a shorter one stays.
func CapUserTimeout(syscall.RawConn, time.Duration) error { return errors.ErrUnsupported }

// SetBindNoPortFD is IP_BIND_ADDRESS_NO_PORT.
func SetBindNoPortFD(uintptr) error { return errors.ErrUnsupported }

// SetReuseAddrFD is SO_REUSEADDR, which means something else on each system.
func SetReuseAddrFD(uintptr) error { return errors.ErrUnsupported }

// DeviceFD is SO_BINDTODEVICE.
func DeviceFD(uintptr) uint32 { return 0 }

// SetLocalPortRangeFD is IP_LOCAL_PORT_RANGE.
func SetLocalPortRangeFD(uintptr, uint16, uint16) error { return errors.ErrUnsupported }

// A Peeker looks at what waits to be read on a socket without reading it.
// Here it sees nothing: the reader of the connection is the first to know.
type Peeker struct{}

// NewPeeker returns a Peeker for the socket.
func NewPeeker(syscall.RawConn) *Peeker { return &Peeker{} }

// Look reports whether data waits to be read, and whether the peer has closed.
func (*Peeker) Look() (data, closed bool) { return false, false }
