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
	return c.ready.readFrom(c, size, pool)
}

// readFrom is ReadOnReady for c, whose reader this is.
func (r *readyReader) readFrom(c net.Conn, size int, pool mem.BufferPool) (*[]byte, int, error) {
	if r.raw == nil {
		return nil, 0, readError(c, net.ErrClosed)
	}
	r.size, r.pool = size, pool
	err := r.raw.Read(r.read)
	buf, n, readErr := r.buf, r.n, r.err
	r.pool, r.buf, r.n, r.err = nil, nil, 0, nil
	switch {
	case err != nil: // closed, or the deadline has passed
	case readErr != nil:
		err = readError(c, os.NewSyscallError("read", readErr))
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
func readError(c net.Conn, err error) error {
	return &net.OpError{Op: "read", Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// A bareReader reads a connection of the net package, as grpc-go does if it gets
// hold of it.
type bareReader struct {
	c net.Conn
	r readyReader
}

// newBareReader returns the reader of c, or nil if c is not one of those that
// grpc-go reads in this way.
func newBareReader(c net.Conn) readsWhenReady {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return nil
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil
	}
	b := &bareReader{c: c}
	b.r.init(raw)
	return b
}

func (b *bareReader) ReadOnReady(size int, pool mem.BufferPool) (*[]byte, int, error) {
	return b.r.readFrom(b.c, size, pool)
}
