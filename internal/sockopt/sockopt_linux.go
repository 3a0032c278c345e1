package sockopt

import (
	"errors"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// siocoutq is SIOCOUTQ, which x/sys knows by the name of its terminal twin.
const siocoutq = unix.TIOCOUTQ

const optTimestamps = 1 // TCPI_OPT_TIMESTAMPS of <linux/tcp.h>

// ReadInfo reads what the kernel knows about the connection.
func ReadInfo(raw syscall.RawConn) (Info, error) {
	var info Info
	err := control(raw, func(fd uintptr) error {
		tcp, n, err := tcpInfo(fd)
		if err != nil {
			return err
		}
		info.Known = true
		info.State = State(tcp.State)
		info.RTT = time.Duration(tcp.Rtt) * time.Microsecond
		info.Silence = time.Duration(tcp.Last_data_recv) * time.Millisecond
		info.Acked = tcp.Bytes_acked
		info.Window = -1
		if n >= unsafe.Offsetof(tcp.Snd_wnd)+unsafe.Sizeof(tcp.Snd_wnd) {
			info.Window = int(tcp.Snd_wnd)
		}
		info.Timestamps = tcp.Options&optTimestamps != 0
		info.Retransmits = int(tcp.Retransmits)
		info.PeerSpokeLast = tcp.Data_segs_out == 0 || tcp.Data_segs_in > 0 && tcp.Last_data_recv < tcp.Last_data_sent
		if info.Unread, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ); err != nil {
			return err
		}
		info.Unsent, err = unix.IoctlGetInt(int(fd), siocoutq)
		return err
	})
	return info, err
}

// tcpInfo returns TCP_INFO, and how many bytes of it the kernel knows.
func tcpInfo(fd uintptr) (info unix.TCPInfo, n uintptr, err error) {
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return info, 0, errno
	}
	return info, uintptr(size), nil
}

// PeerHadClosed reports whether a connection that is Closed was reset only
// after the peer's FIN had come. It takes the socket's pending error away, so
// it is for a socket that nobody reads any more.
func PeerHadClosed(raw syscall.RawConn) bool {
	errno := 0
	err := control(raw, func(fd uintptr) (err error) {
		errno, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		return err
	})
	return err == nil && syscall.Errno(errno) == unix.EPIPE // else ECONNRESET
}

// Multipath reports whether the socket speaks Multipath TCP to its peer.
func Multipath(raw syscall.RawConn) bool {
	protocol := 0
	err := control(raw, func(fd uintptr) (err error) {
		protocol, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PROTOCOL)
		return err
	})
	return err == nil && protocol == unix.IPPROTO_MPTCP
}

// WillAbort reports whether a close resets the connection, because its owner has
// set SO_LINGER with a timeout of zero.
func WillAbort(raw syscall.RawConn) bool {
	abort := false
	err := control(raw, func(fd uintptr) error {
		l, err := unix.GetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER)
		abort = err == nil && l.Onoff != 0 && l.Linger == 0
		return err
	})
	return err == nil && abort
}

// SetFinReset makes the kernel reset the connection once the FIN of a later
// close has been acknowledged (TCP_LINGER2 < 0), or takes that back.
// The data before the FIN is delivered as by any close.
func SetFinReset(raw syscall.RawConn, on bool) error {
	return control(raw, func(fd uintptr) error { return SetFinResetFD(fd, on) })
}

// SetFinResetFD is SetFinReset for a [net.Dialer.Control] function.
func SetFinResetFD(fd uintptr, on bool) error {
	v := 0 // the system's tcp_fin_timeout
	if on {
		v = -1
	}
	return setInt(fd, unix.IPPROTO_TCP, unix.TCP_LINGER2, v)
}

// SetUserTimeoutFD bounds how long sent data may stay unacknowledged.
func SetUserTimeoutFD(fd uintptr, d time.Duration) error {
	return setInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, max(1, int(d.Milliseconds())))
}

// CapUserTimeout bounds how long sent data, or a FIN, may stay unacknowledged.
// It holds also after the close. A shorter bound that is set already stays.
func CapUserTimeout(raw syscall.RawConn, d time.Duration) error {
	return control(raw, func(fd uintptr) error {
		v, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		if err != nil || v > 0 && time.Duration(v)*time.Millisecond <= d {
			return err
		}
		return SetUserTimeoutFD(fd, d)
	})
}

// SetBindNoPortFD leaves the choice of the port to connect, which knows the
// destination, so that one local port serves many destinations.
func SetBindNoPortFD(fd uintptr) error {
	return setInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}

// SetReuseAddrFD lets a socket be bound to a port that others have which were
// given the same option, listeners excepted. A TIME_WAIT inherits it from its
// socket. It must be set before the socket is bound.
func SetReuseAddrFD(fd uintptr) error { return setInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) }

// DeviceFD returns the number of the device that a socket is bound to
// (SO_BINDTODEVICE), or 0 if it is bound to none.
func DeviceFD(fd uintptr) uint32 {
	n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX)
	if err != nil {
		return 0 // before Linux 5.0
	}
	return uint32(n)
}

// SetLocalPortRangeFD has connect choose the port from this range (Linux 6.3).
// A bound outside the system's own range has no effect, and none of this has
// when both are. From Linux 6.8 on such a socket also looks at every port of
// the range, one after the other: without the option it looks at all ports of
// one parity before the first of the other.
func SetLocalPortRangeFD(fd uintptr, lo, hi uint16) error {
	return setInt(fd, unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, int(int32(uint32(hi)<<16|uint32(lo))))
}

func setInt(fd uintptr, level, opt, value int) error {
	if Portable.Load() {
		return errors.ErrUnsupported
	}
	return unix.SetsockoptInt(int(fd), level, opt, value)
}

// A Peeker looks at what waits to be read on a socket without reading it. It
// keeps its own closure, so that a look allocates nothing. One goroutine at a
// time may use it.
type Peeker struct {
	raw  syscall.RawConn
	look func(fd uintptr)
	n    int
	err  syscall.Errno
	buf  [1]byte
}

// NewPeeker returns a Peeker for the socket.
func NewPeeker(raw syscall.RawConn) *Peeker {
	p := &Peeker{raw: raw}
	p.look = func(fd uintptr) {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&p.buf)), 1,
			unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
		p.n, p.err = int(n), errno
	}
	return p
}

// Look reports whether data waits to be read, and whether the peer has closed
// or reset the connection with nothing left to read before that.
func (p *Peeker) Look() (data, closed bool) {
	if Portable.Load() {
		return false, false
	}
	if err := p.raw.Control(p.look); err != nil {
		return false, true
	}
	switch {
	case p.err == unix.EAGAIN || p.err == unix.EINTR:
		return false, false
	case p.err != 0 || p.n == 0:
		return false, true
	}
	return true, false
}

// control runs f on the descriptor and returns its error, or that of reaching
// the descriptor.
func control(raw syscall.RawConn, f func(fd uintptr) error) error {
	if Portable.Load() {
		return errors.ErrUnsupported
	}
	var ferr error
	if err := raw.Control(func(fd uintptr) { ferr = f(fd) }); err != nil {
		return err
	}
	return ferr
}
