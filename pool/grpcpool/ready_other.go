//go:build !unix

package grpcpool

import "syscall"

// A readyReader is for platforms whose sockets can be read when they are ready.
type readyReader struct{}

func (*readyReader) init(syscall.RawConn) {}
