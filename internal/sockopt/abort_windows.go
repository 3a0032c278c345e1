package sockopt

import "syscall"

// SetAbort makes a later close reset the connection (SO_LINGER with a timeout
// of zero), which drops what the peer has not received.
func SetAbort(raw syscall.RawConn) error {
	var serr error
	if err := raw.Control(func(fd uintptr) {
		serr = syscall.SetsockoptLinger(syscall.Handle(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	}); err != nil {
		return err
	}
	return serr
}
