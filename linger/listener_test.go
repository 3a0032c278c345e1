package linger

import (
	"io"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/sockopt"
)

// accepted returns a connection that cl's listener has accepted, and the
// client's end of it.
func accepted(t *testing.T, cl *Closer) (*Conn, *net.TCPConn) {
	t.Helper()
	inner, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := cl.Listener(inner)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c.(*Conn), client.(*net.TCPConn)
}

// What net/http and io.Copy look for to use sendfile and splice is there.
func TestAcceptedConn(t *testing.T) {
	var c net.Conn
	c, _ = accepted(t, new(Closer))
	defer c.Close()
	if _, ok := c.(io.ReaderFrom); !ok {
		t.Error("no io.ReaderFrom")
	}
	if _, ok := c.(io.WriterTo); !ok {
		t.Error("no io.WriterTo")
	}
	if _, ok := c.(syscall.Conn); !ok {
		t.Error("no syscall.Conn")
	}
	if _, ok := c.(interface{ CloseWrite() error }); !ok {
		t.Error("no CloseWrite")
	}
}

// What is no TCP connection is the caller's as it is.
func TestListenerOfOtherNetworks(t *testing.T) {
	inner, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Skip(err)
	}
	l := new(Closer).Listener(inner)
	client, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, ok := c.(*net.UnixConn); !ok {
		t.Errorf("accepted a %T", c)
	}
	l.Close()
	if _, err := l.Accept(); err == nil {
		t.Error("it accepts after it was closed")
	}
}

// A server's own half-close is one: the client reads the end at once, and the
// server reads on.
func TestServerHalfCloses(t *testing.T) {
	c, client := accepted(t, new(Closer))
	say(t, c, "question")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	hear(t, client, "question")
	hearEOF(t, client)
	say(t, client, "answer")
	hear(t, c, "answer")
	client.Close()
	hearEOF(t, c)
	c.Close()
}

// Where the platform has nothing to offer, an accepted connection is closed as
// any other.
func TestListenerPortable(t *testing.T) {
	sockopt.Portable.Store(true)
	defer sockopt.Portable.Store(false)
	for policy, want := range map[Policy]Ending{
		{}:                       LocalFirst,
		RFC6455:                  LocalFirst,
		{Wait: time.Millisecond}: LocalFirst,
	} {
		got := new(endings)
		cl := &Closer{Policy: policy, Ended: got.add}
		c, client := accepted(t, cl)
		say(t, c, "last word")
		c.Close()
		hear(t, client, "last word")
		hearEOF(t, client)
		client.Close()
		got.wantOne(t, cl, want)
	}
}
