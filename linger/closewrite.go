package linger

import (
	"runtime"
	"strings"

	"github.com/lastack/lastack/internal/sockopt"
)

// CloseWrite sends FIN, so that the peer reads a clean end of file while this
// side reads on. Whoever sends FIN first pays for it with the TIME_WAIT, so it
// is counted as LocalFirst unless the peer had closed before.
//
// There is one exception. net/http's server calls CloseWrite on a connection
// that it has given up while the client may still be sending (a header or body
// that is too large), does not read it any more, and closes it half a second
// later. On an accepted connection that call, which is known by its caller's
// name, counts as Close: the farewell hears the client out and then sends FIN.
func (c *Conn) CloseWrite() error {
	if c.served && !c.lent.Load() && c.closer.Policy.orDefault().Fallback != Plain && c.raw != nil && calledByServer() {
		if info, err := sockopt.ReadInfo(c.raw); err == nil && info.State == sockopt.Established {
			return c.close(true)
		}
	}
	return c.tcpConn.CloseWrite()
}

// calledByServer reports whether CloseWrite was called by net/http's server on
// a connection that it will close next.
func calledByServer() bool {
	var pcs [4]uintptr
	n := runtime.Callers(3, pcs[:]) // from CloseWrite's caller on
	frame, _ := runtime.CallersFrames(pcs[:n]).Next()
	return strings.HasPrefix(frame.Function, "net/http.") && strings.HasSuffix(frame.Function, ".closeWriteAndWait")
}
