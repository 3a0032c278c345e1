//go:build unix

package grpcpool

import (
	"io"
	"net"
	"os"
	"syscall"

	"google.golang.org/grpc/mem"
)

// A readyReader takes a buffer from the pool only when there is something to
// read, so that a connection at rest holds none. The function that reads is made
// once, and its arguments are fields, so that a read allocates nothing.
type readyReader struct {
	raw  syscall.RawConn
	read func(fd uintptr) bool

	size int
	pool mem.BufferPool
	buf  *[]byte
	n    int
	err  error
}

func (r *readyReader) init(raw syscall.RawConn) {
	r.raw = raw
	r.read = func(fd uintptr) bool {
		r.buf = r.pool.Get(r.size)
		for {
			r.n, r.err = syscall.Read(int(fd), *r.buf)
			if r.err != syscall.EINTR {
				break
			}
		}
		if r.err != nil {
			r.pool.Put(r.buf)
			r.buf, r.n = nil, 0
		}
		return r.err != syscall.EAGAIN
	}
}

// ReadOnReady waits until there is something to read, and reads up to size bytes
// of it into a buffer of the pool, which is the caller's then.
//
// It is the method that grpc-go looks for in a connection that is no bare
// *net.TCPConn (internal/transport/readyreader).
func (c *conn) ReadOnReady(size int, pool mem.BufferPool) (*[]byte, int, error) {
	r := &c.ready
	if r.raw == nil {
		return nil, 0, c.readError(net.ErrClosed)
	}
	r.size, r.pool = size, pool
	err := r.raw.Read(r.read)
	buf, n, readErr := r.buf, r.n, r.err
	r.pool, r.buf, r.n, r.err = nil, nil, 0, nil
	switch {
	case err != nil: // closed, or the deadline has passed
	case readErr != nil:
		err = c.readError(os.NewSyscallError("read", readErr))
	case n == 0:
		err = io.EOF
	default:
		return buf, n, nil
	}
	if buf != nil {
		pool.Put(buf)
	}
	return nil, 0, err
}

// readError returns err as the net package would.
func (c *conn) readError(err error) error {
	return &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
