//go:build unix

package grpcpool

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/mem"
)

// TestErrnoOfReads: whoever looks for the reason why a connection cannot be read
// finds it as in an error of *net.TCPConn, however it is read. Only Op may differ: it
// is "raw-read" where the read did not get as far as the kernel, as in grpc-go.
func TestErrnoOfReads(t *testing.T) {
	reset := func(_, server net.Conn) {
		server.(*net.TCPConn).SetLinger(0)
		server.Close()
	}
	deadline := func(c, _ net.Conn) { c.SetReadDeadline(time.Unix(1, 0)) }
	closed := func(c, _ net.Conn) { c.Close() }
	for name, read := range map[string]func(net.Conn) error{
		"Read": func(c net.Conn) error {
			_, err := c.Read(make([]byte, 1))
			return err
		},
		"ReadOnReady": func(c net.Conn) error {
			buf, _, err := c.(whenReady).ReadOnReady(1, mem.DefaultBufferPool())
			if err == nil {
				mem.DefaultBufferPool().Put(buf)
			}
			return err
		},
	} {
		for _, test := range []struct {
			name    string
			happens func(c, server net.Conn)
			want    error
			timeout bool
		}{
			{"reset", reset, syscall.ECONNRESET, false},
			{"deadline", deadline, os.ErrDeadlineExceeded, true},
			{"closed", closed, net.ErrClosed, false},
		} {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				ours, server := dialPair(t, nil)
				bare := pairs(t)["tcp"]
				heard, heardServer := dialPair(t, nil)
				for who, ends := range map[string][2]net.Conn{
					"ours":           {ours, server},
					"ours, observed": {observe(heard, heard, new(audience).open), heardServer},
					"bare, observed": {observe(bare[0], bare[0], new(audience).open), bare[1]},
				} {
					test.happens(ends[0], ends[1])
					err := read(ends[0])
					if !errors.Is(err, test.want) {
						t.Errorf("%s: %v, want %v", who, err, test.want)
					}
					oe, ok := errors.AsType[*net.OpError](err)
					if !ok || oe.Timeout() != test.timeout || oe.Addr == nil {
						t.Errorf("%s: %#v, want a *net.OpError as of *net.TCPConn", who, err)
					}
				}
			})
		}
	}
}
