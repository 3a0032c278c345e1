package linger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lastack/lastack/internal/netlab"
)

// A response is written and followed by the server's close, to clients that
// read slowly.
type response struct {
	name      string
	size      int
	n         int // connections
	viaProxy  bool
	loss      int  // percent of the packets
	halfClose bool // the client says that it has no more to say, after the server's close
	fact      Fact
	loses     bool // which shows that the test can see it
}

// TestKernelLastWord: what a server says before it closes arrives whole at a
// client that reads slowly, directly and through a proxy that holds it back,
// and the server keeps no TIME_WAIT.
func TestKernelLastWord(t *testing.T) {
	const some, much = 400 << 10, 8 << 20
	netlab.Run(t, func(lab *netlab.Lab) {
		for _, r := range []response{
			{name: "much", size: much, n: 20 / slow},
			{name: "5 % loss", size: much / 4, n: 10 / slow, loss: 5},
			{name: "via HAProxy", size: some, n: 200 / slow, viaProxy: true},
			{name: "half-closed", size: some, n: 100 / slow, halfClose: true},
			{name: "half-closed, via HAProxy", size: some, n: 200 / slow, viaProxy: true, halfClose: true},
			{name: "reset, via HAProxy", size: some, n: 40, viaProxy: true, fact: Broken, loses: true},
		} {
			t.Run(r.name, func(t *testing.T) { r.hold(t, lab) })
		}
	})
}

func (r response) hold(t *testing.T, lab *netlab.Lab) {
	inner, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := netip.MustParseAddrPort(inner.Addr().String())
	to := server
	if r.viaProxy {
		to = lab.ProxyTCP(t, server)
	}
	if r.loss > 0 {
		defer lab.Loss(t, r.loss)()
	}
	got := new(endings)
	cl := &Closer{Ended: got.add}
	l := cl.Listener(inner)
	var servers, clients sync.WaitGroup
	var written, whole atomic.Int64
	servers.Go(func() {
		text := bytes.Repeat([]byte("x"), r.size)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			servers.Go(func() {
				if _, err := c.Write(text); err != nil {
					t.Error(err)
				}
				c.(*Conn).Tell(r.fact)
				c.Close()
				written.Add(1)
			})
		}
	})
	for range r.n {
		clients.Go(func() {
			if err := r.read(to, &written); err == nil {
				whole.Add(1)
			} else if !r.loses {
				t.Error(err)
			}
		})
	}
	clients.Wait()
	l.Close()
	servers.Wait()
	if r.loses && whole.Load() == int64(r.n) {
		t.Error("all came whole: the test sees no loss")
	}
	if err := cl.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	lab.Settle(t, server, 30*time.Second)
	s := lab.States(t, server).Server
	t.Logf("%d of %d came whole; %d TIME_WAIT; %v", whole.Load(), r.n, s.TimeWaits(), got.count())
	if s.TimeWaits()+s.MiniFinWait2 != 0 {
		t.Errorf("the server keeps TIME_WAITs: %v", s)
	}
}

// read is a client whose kernel takes little at a time.
func (r response) read(to netip.AddrPort, written *atomic.Int64) error {
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 64<<10) })
	}}
	c, err := d.Dial("tcp", to.String())
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	timer := time.NewTicker(20 * time.Millisecond)
	defer timer.Stop()
	total := 0
	for buf := make([]byte, max(16<<10, r.size/64)); ; {
		n, err := c.Read(buf)
		total += n
		if err == io.EOF && total == r.size {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%d bytes of %d came: %w", total, r.size, err)
		}
		if r.halfClose && total > 64<<10 && written.Load() > 0 {
			c.(*net.TCPConn).CloseWrite()
			r.halfClose = false
		}
		<-timer.C
	}
}

// TestKernelRFC6455: a server that says the last word of a close handshake and
// closes first keeps the TIME_WAITs if its Policy says so. By default nobody does.
func TestKernelRFC6455(t *testing.T) {
	const n = 50
	netlab.Run(t, func(lab *netlab.Lab) {
		for _, tt := range []struct {
			policy Policy
			pays   int
			want   Ending
		}{
			{RFC6455, n, LocalFirst},
			{Policy{}, 0, FinReset},
		} {
			got := new(endings)
			cl := &Closer{Policy: tt.policy, Ended: got.add}
			inner, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l := cl.Listener(inner)
			for range n {
				client, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				c, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				say(t, client, "close")
				hear(t, c, "close")
				say(t, c, "close")
				c.Close()
				hear(t, client, "close")
				hearEOF(t, client)
				client.Close()
			}
			l.Close()
			if err := cl.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			addr := netip.MustParseAddrPort(l.Addr().String())
			lab.Settle(t, addr, 10*time.Second)
			if client, server := lab.TimeWaits(t, addr); client != 0 || server != tt.pays {
				t.Errorf("%+v: TIME_WAIT: client %d, server %d, want 0 and %d", tt.policy, client, server, tt.pays)
			}
			if by := got.count(); by[tt.want] != n {
				t.Errorf("%+v: %v, want %v", tt.policy, by, tt.want)
			}
		}
	})
}

// A socket whose filter cannot be changed is closed plainly, since without ours
// the reset would come too early.
func TestServedWithoutFilter(t *testing.T) {
	needKernel(t)
	got := new(endings)
	cl := &Closer{Ended: got.add}
	c, client := accepted(t, cl)
	lockFilter(t, c)
	say(t, c, "last word")
	c.Close()
	hear(t, client, "last word")
	hearEOF(t, client)
	got.wantOne(t, cl, LocalFirst)
}

// lockFilter makes the connection's filter one that cannot be changed.
func lockFilter(t *testing.T, c *Conn) {
	t.Helper()
	c.raw.Control(func(fd uintptr) {
		if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_LOCK_FILTER, 1); err != nil {
			t.Skip(err)
		}
	})
}

// Whoever resets a connection by SetLinger(0) reads that in the accounts.
func TestServedSetLinger(t *testing.T) {
	needKernel(t)
	got := new(endings)
	cl := &Closer{Ended: got.add}
	c, client := accepted(t, cl)
	c.SetLinger(0)
	c.Close()
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client reads %v", err)
	}
	got.wantOne(t, cl, Aborted)
}
