package netlab

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// settle is how long what takes the kernel a moment may take.
const settle = 5 * time.Second

// echo is a server that sends everything back.
func echo(t *testing.T, listen string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

func dial(t testing.TB, addr netip.AddrPort) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// roundTrip sends a byte to an echo server and waits for it.
func roundTrip(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.Write([]byte("x"))
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}
