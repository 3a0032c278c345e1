//go:build !unix

package grpcpool

import (
	"net"
	"syscall"
)

// A readyReader is for platforms whose sockets can be read when they are ready.
type readyReader struct{}

func (*readyReader) init(syscall.RawConn) {}

func newBareReader(net.Conn) readsWhenReady { return nil }
