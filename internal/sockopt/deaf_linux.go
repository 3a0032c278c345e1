package sockopt

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A socket's filter sees segments from the TCP header on.

// deafToAcks drops what has neither payload nor SYN, FIN or RST.
var deafToAcks = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13}, // flags
	{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: 0x7 /* RST, SYN, FIN */, Jt: 6},
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 12}, // length of the header, in words, in the upper half
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0xf0},
	{Code: unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K, K: 2},
	{Code: unix.BPF_MISC | unix.BPF_TAX},
	{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_LEN},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_X, Jt: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
}

// deafToFIN drops what has FIN.
var deafToFIN = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},
	{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: 0x1, Jt: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
}

// SetDeaf has the kernel ignore what only acknowledges (a socket filter, which
// needs no privilege), or hear it again. Data, FIN and RST are still heard,
// with the acknowledgements that they carry.
//
// A connection that is closed with SetFinReset is reset when its FIN is
// acknowledged; a deaf one only when the peer's own FIN brings the
// acknowledgement, or data that nobody will read. Until then the FIN counts as
// unacknowledged and is sent again, for as long as CapUserTimeout allows.
//
// Nothing but the FIN may be unacknowledged then: what is lost on the way would
// not be sent again but for its beginning. And the peer must have room for the
// FIN (Info.Window), since what says that it has room again is not heard.
func SetDeaf(raw syscall.RawConn, on bool) error {
	return control(raw, func(fd uintptr) error {
		if !on {
			return unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
		}
		return setFilter(fd, deafToAcks)
	})
}

// CloseWriteDeaf sends FIN and has the kernel ignore the peer's own, which
// would make a TIME_WAIT of this side. The connection can then only be reset.
func CloseWriteDeaf(raw syscall.RawConn) error {
	return control(raw, func(fd uintptr) error {
		if err := setFilter(fd, deafToFIN); err != nil {
			return err
		}
		return unix.Shutdown(int(fd), unix.SHUT_WR)
	})
}

func setFilter(fd uintptr, filter []unix.SockFilter) error {
	fprog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &fprog); err != nil {
		return err
	}
	// A kernel that only pretends to be Linux may accept a filter and do
	// without. One that knows it tells how long it is.
	if n, err := filterLen(fd); err != nil || n != len(filter) {
		return errors.ErrUnsupported
	}
	return nil
}

// filterLen returns the number of instructions of the socket's filter.
func filterLen(fd uintptr) (int, error) {
	n := uint32(0) // the room for instructions; the kernel says how many there are
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_GET_FILTER,
		0, uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
