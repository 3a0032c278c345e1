package pool

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/lastack/lastack/metrics"
)

// reasonOf returns why a connection has left by itself, from the error of its
// ClientConn.
func reasonOf(err error, busy bool) string {
	switch {
	case upgraded(err):
		return metrics.Upgraded
	case errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return metrics.Timeout
	case err.Error() == "http: server closed idle connection",
		errors.Is(err, io.EOF),
		errors.Is(err, syscall.ECONNRESET),
		strings.HasSuffix(err.Error(), "exiting"): // net/http's read loop: one side said close
		return metrics.ServerClose
	case !busy:
		return metrics.ServerClose
	}
	return metrics.Error
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// upgraded reports whether the connection belongs to the caller now.
func upgraded(err error) bool {
	return strings.HasSuffix(err.Error(), "caller owns writable underlying conn")
}
