package linger

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/sockdiag"
)

// A badClient does not do its part when the server has said its last word,
// which is the word "enough", and has closed.
type badClient struct {
	name   string
	behave func(t *testing.T, c *net.TCPConn, closed <-chan struct{})
	want   []Ending
}

const enough = "enough"

func hearEnough(t *testing.T, c net.Conn) {
	t.Helper()
	if said, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(said), enough) {
		t.Errorf("%d bytes that do not end in %q, %v", len(said), enough, err)
	}
}

// TestKernelBadClients: a client that does not close, or goes on sending, costs
// the server a bounded time, and neither a TIME_WAIT nor a descriptor; and the
// client can read what it was told.
func TestKernelBadClients(t *testing.T) {
	policy := Policy{Wait: 200 * time.Millisecond}
	netlab.Run(t, func(lab *netlab.Lab) {
		for _, b := range []badClient{{
			name: "it never closes",
			behave: func(t *testing.T, c *net.TCPConn, closed <-chan struct{}) {
				hearEnough(t, c)
				t.Cleanup(func() { c.Close() })
			},
			want: []Ending{FinReset},
		}, {
			name: "it closes after the server has given up",
			behave: func(t *testing.T, c *net.TCPConn, closed <-chan struct{}) {
				<-closed
				server := netip.MustParseAddrPort(c.RemoteAddr().String())
				netlab.Eventually(t, 45*time.Second, "the server has given up", func() bool {
					return len(lab.States(t, server).Server.By) == 0
				})
				hearEnough(t, c)
				c.Close()
			},
			want: []Ending{FinReset},
		}, {
			name: "it floods",
			behave: func(t *testing.T, c *net.TCPConn, closed <-chan struct{}) {
				var err error
				for buf := make([]byte, 64<<10); err == nil; {
					_, err = c.Write(buf)
				}
				if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
					t.Error(err)
				}
				hearEnough(t, c)
				c.Close()
			},
			want: []Ending{Aborted, FinReset},
		}, {
			name: "it asks again",
			behave: func(t *testing.T, c *net.TCPConn, closed <-chan struct{}) {
				<-closed
				io.WriteString(c, "more?")
				hearEnough(t, c)
				c.Close()
			},
			want: []Ending{FinReset},
		}, {
			name: "it half-closes and reads on",
			behave: func(t *testing.T, c *net.TCPConn, closed <-chan struct{}) {
				<-closed
				c.CloseWrite()
				hearEnough(t, c)
				c.Close()
			},
			want: []Ending{FinReset, PeerFirst},
		}} {
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				b.hold(t, lab, policy)
			})
		}
	})
}

func (b badClient) hold(t *testing.T, lab *netlab.Lab, policy Policy) {
	const n = 20
	inner, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := netip.MustParseAddrPort(inner.Addr().String())
	got := new(endings)
	cl := &Closer{Policy: policy, Ended: got.add}
	l := cl.Listener(inner)
	var clients, servers sync.WaitGroup
	for range n {
		dialled, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		closed := make(chan struct{})
		dialled.SetDeadline(time.Now().Add(time.Minute))
		clients.Go(func() { b.behave(t, dialled.(*net.TCPConn), closed) })
		servers.Go(func() {
			io.WriteString(c, enough)
			c.Close()
			close(closed)
		})
	}
	l.Close()
	servers.Wait()
	began := time.Now()
	clients.Wait()
	if err := cl.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	netlab.Eventually(t, 45*time.Second, "the server is free", func() bool {
		s := lab.States(t, server).Server
		return len(s.By) == s.By[sockdiag.TimeWait]
	})
	s := lab.States(t, server).Server
	t.Logf("%v after %v; %v", s, time.Since(began).Round(time.Millisecond), got.count())
	if s.TimeWaits() != 0 {
		t.Errorf("the server keeps TIME_WAITs: %v", s)
	}
	for e, k := range got.count() {
		if k > 0 && !slices.Contains(b.want, e) {
			t.Errorf("%d ended %v, want one of %v", k, e, b.want)
		}
	}
}

// TestKernelServedCrossing: FINs that cross in flight leave no TIME_WAIT on the
// side of the server either.
func TestKernelServedCrossing(t *testing.T) {
	const n = 20
	netlab.Run(t, func(lab *netlab.Lab) {
		inner, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := netip.MustParseAddrPort(inner.Addr().String())
		got := new(endings)
		cl := &Closer{Policy: Policy{Wait: 200 * time.Millisecond}, Ended: got.add}
		l := cl.Listener(inner)
		var both []net.Conn
		for range n {
			client, err := net.Dial("tcp4", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			both = append(both, c, client)
		}
		remove := lab.BlackHole(t, server)
		for _, c := range both {
			c.Close()
		}
		if s := lab.States(t, server); s.Client.By[sockdiag.FinWait1] != n || s.Server.By[sockdiag.FinWait1] != n {
			t.Errorf("before either FIN has come: %v", s)
		}
		remove()
		if err := cl.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		paid := 0
		netlab.Eventually(t, 45*time.Second, "the server has given up", func() bool {
			s := lab.States(t, server).Server
			paid = max(paid, s.TimeWaits())
			return len(s.By) == 0
		})
		if paid != 0 {
			t.Errorf("the server had %d TIME_WAITs; %v", paid, got.count())
		}
	})
}

// TestKernelServed6: the socket filter sees the same over IPv6.
func TestKernelServed6(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		inner, err := net.Listen("tcp6", "[::1]:0")
		if err != nil {
			t.Skip(err)
		}
		server := netip.MustParseAddrPort(inner.Addr().String())
		got := new(endings)
		cl := &Closer{Ended: got.add}
		l := cl.Listener(inner)
		client, err := net.Dial("tcp6", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		say(t, c, enough)
		c.Close()
		hearEnough(t, client)
		netlab.Eventually(t, 10*time.Second, "the server waits for the client", func() bool {
			return lab.States(t, server).Server.By[sockdiag.FinWait1] == 1
		})
		client.Close()
		got.wantOne(t, cl, FinReset)
		if s := lab.States(t, server); len(s.Server.By)+len(s.Client.By) != 0 {
			t.Errorf("after both have closed: %v", s)
		}
	})
}
