package linger

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/sockopt"
)

// pair returns a connection of cl and the peer's end of it.
func pair(t testing.TB, cl *Closer) (*Conn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer := (<-accepted).(*net.TCPConn)
	t.Cleanup(func() { peer.Close() })
	return cl.Conn(c.(*net.TCPConn)), peer
}

// endings collects what a Closer reports.
type endings struct {
	mu  sync.Mutex
	all []Ending
}

func (e *endings) add(x Ending) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, x)
}

// wantOne shuts cl down and checks that exactly this ending was reported.
func (e *endings) wantOne(t *testing.T, cl *Closer, want Ending) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := cl.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.all) != 1 || e.all[0] != want {
		t.Errorf("endings: %v, want [%v]", e.all, want)
	}
}

func say(t *testing.T, c io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, c io.Reader, s string) {
	t.Helper()
	buf := make([]byte, len(s))
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != s {
		t.Fatalf("read %q, %v; want %q", buf, err, s)
	}
}

func TestEndings(t *testing.T) {
	tests := []struct {
		name   string
		policy Policy
		fact   Fact
		scene  func(t *testing.T, c *Conn, peer *net.TCPConn) // before Close
		after  func(t *testing.T, c *Conn, peer *net.TCPConn) // after Close
		want   Ending
	}{{
		name:  "the peer has closed",
		scene: func(t *testing.T, c *Conn, peer *net.TCPConn) { peer.Close(); hearEOF(t, c) },
		want:  PeerFirst,
	}, {
		name: "the peer has reset",
		scene: func(t *testing.T, c *Conn, peer *net.TCPConn) {
			peer.SetLinger(0)
			peer.Close()
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("read after a reset succeeded")
			}
		},
		want: Lost,
	}, {
		name: "complete",
		fact: Complete,
		scene: func(t *testing.T, c *Conn, peer *net.TCPConn) {
			say(t, c, "question")
			hear(t, peer, "question")
			say(t, peer, "answer")
			hear(t, c, "answer")
		},
		after: func(t *testing.T, c *Conn, peer *net.TCPConn) { hearEOF(t, peer) },
		want:  FinReset,
	}, {
		name:  "nothing was ever said",
		after: func(t *testing.T, c *Conn, peer *net.TCPConn) { hearEOF(t, peer) },
		want:  FinReset,
	}, {
		name: "unsure, the peer spoke last",
		scene: func(t *testing.T, c *Conn, peer *net.TCPConn) {
			say(t, c, "question")
			hear(t, peer, "question")
			tick()
			say(t, peer, "answer")
			hear(t, c, "answer")
		},
		want: FinReset,
	}, {
		name: "unsure, we spoke last",
		scene: func(t *testing.T, c *Conn, peer *net.TCPConn) {
			say(t, c, "statement")
			hear(t, peer, "statement")
		},
		want: LocalFirst,
	}, {
		name:   "abort",
		policy: Policy{Fallback: Abort},
		scene: func(t *testing.T, c *Conn, peer *net.TCPConn) {
			say(t, c, "statement")
			hear(t, peer, "statement")
		},
		want: Aborted,
	}, {
		name:   "plain",
		policy: Policy{Fallback: Plain},
		fact:   Complete,
		want:   LocalFirst,
	}, {
		name: "broken",
		fact: Broken,
		scene: func(t *testing.T, c *Conn, peer *net.TCPConn) {
			peer.SetReadBuffer(4096)
			c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			c.Write(make([]byte, 64<<20)) // more than the peer takes
		},
		want: Aborted,
	}, {
		name:  "owed, and the peer closes",
		fact:  Owed,
		after: func(t *testing.T, c *Conn, peer *net.TCPConn) { say(t, peer, "bye"); peer.Close() },
		want:  PeerFirst,
	}, {
		name:   "owed, and the peer does not close",
		policy: Policy{Wait: 20 * time.Millisecond},
		fact:   Owed,
		after:  func(t *testing.T, c *Conn, peer *net.TCPConn) { hearEOF(t, peer) },
		want:   FinReset,
	}, {
		name:   "owed, and nobody waits",
		policy: Policy{Wait: -1},
		fact:   Owed,
		want:   FinReset,
	}, {
		name: "owed, and the peer resets",
		fact: Owed,
		after: func(t *testing.T, c *Conn, peer *net.TCPConn) {
			peer.SetLinger(0)
			peer.Close()
		},
		want: Lost,
	}, {
		name: "owed, and the peer floods",
		fact: Owed,
		after: func(t *testing.T, c *Conn, peer *net.TCPConn) {
			peer.SetWriteDeadline(time.Now().Add(time.Minute))
			n, err := peer.Write(make([]byte, 64<<20))
			if err == nil {
				t.Errorf("a flood of %d bytes was taken whole", n)
			}
		},
		want: Aborted,
	}, {
		name:  "a goodbye said, and the peer closes",
		fact:  SaidGoodbye,
		scene: func(t *testing.T, c *Conn, peer *net.TCPConn) { say(t, c, "bye") },
		after: func(t *testing.T, c *Conn, peer *net.TCPConn) { hear(t, peer, "bye"); peer.Close() },
		want:  PeerFirst,
	}, {
		name:   "a goodbye said, and the peer has spoken last and does not close",
		policy: Policy{Wait: 20 * time.Millisecond},
		fact:   SaidGoodbye,
		scene: func(t *testing.T, c *Conn, peer *net.TCPConn) {
			say(t, c, "bye")
			tick()
			say(t, peer, "bye")
			hear(t, c, "bye")
		},
		after: func(t *testing.T, c *Conn, peer *net.TCPConn) { hearEOF(t, peer) },
		want:  FinReset,
	}, {
		// The peer may still need what it was sent before.
		name:   "a goodbye said, and nothing comes",
		policy: Policy{Wait: 20 * time.Millisecond},
		fact:   SaidGoodbye,
		scene:  func(t *testing.T, c *Conn, peer *net.TCPConn) { say(t, c, "bye") },
		after:  func(t *testing.T, c *Conn, peer *net.TCPConn) { hearEOF(t, peer) },
		want:   LocalFirst,
	}, {
		name: "HTTP/2 at rest, and the peer floods",
		fact: RestingHTTP2,
		after: func(t *testing.T, c *Conn, peer *net.TCPConn) {
			peer.SetWriteDeadline(time.Now().Add(time.Minute))
			pings := bytes.Repeat([]byte{0, 0, 8, 6, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7}, 64<<20/17)
			n, err := peer.Write(pings)
			if err == nil {
				t.Errorf("a flood of %d bytes was taken whole", n)
			}
		},
		want: Aborted,
	}, {
		name:  "underway, then abandoned",
		fact:  Underway,
		after: func(t *testing.T, c *Conn, peer *net.TCPConn) { c.Tell(Abandoned); hearEOF(t, peer) },
		want:  FinReset,
	}, {
		name:  "underway, then broken",
		fact:  Underway,
		after: func(t *testing.T, c *Conn, peer *net.TCPConn) { c.Tell(Broken) },
		want:  Aborted,
	}, {
		name: "underway, then owed",
		fact: Underway,
		after: func(t *testing.T, c *Conn, peer *net.TCPConn) {
			c.Tell(Owed)
			peer.Close()
		},
		want: PeerFirst,
	}, {
		name: "unsure, unread data",
		scene: func(t *testing.T, c *Conn, peer *net.TCPConn) {
			say(t, c, "statement")
			hear(t, peer, "statement")
			tick()
			say(t, peer, "unwanted")
		},
		after: func(t *testing.T, c *Conn, peer *net.TCPConn) { hearEOF(t, peer) }, // no reset
		want:  FinReset,                                                            // the peer spoke last
	}, {
		name: "the owner's CloseWrite came first",
		scene: func(t *testing.T, c *Conn, peer *net.TCPConn) {
			c.CloseWrite()
			hearEOF(t, peer)
			peer.Close()
			hearEOF(t, c)
		},
		want: LocalFirst,
	}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			needKernel(t)
			var got endings
			cl := &Closer{Policy: tt.policy, Ended: got.add}
			c, peer := pair(t, cl)
			c.Tell(tt.fact)
			if tt.scene != nil {
				tt.scene(t, c, peer)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if err := c.Close(); err != nil {
				t.Error("the second Close is no no-op:", err)
			}
			if tt.after != nil {
				tt.after(t, c, peer)
			}
			got.wantOne(t, cl, tt.want)
		})
	}
}

// needKernel skips where the kernel does not tell what the test needs.
func needKernel(t *testing.T) {
	t.Helper()
	cl := new(Closer)
	c, _ := pair(t, cl)
	defer c.Close()
	if info, _ := sockopt.ReadInfo(c.raw); !info.Known {
		t.Skip("the platform has no TCP_INFO")
	}
}

func hearEOF(t *testing.T, r io.Reader) {
	t.Helper()
	if n, err := io.Copy(io.Discard, r); err != nil {
		t.Errorf("after %d bytes: %v, want EOF", n, err)
	}
}

// tick lets the kernel's clock of milliseconds, in which it tells who spoke
// last, move on.
func tick() { <-time.After(10 * time.Millisecond) }

func TestCloseReleasesReaders(t *testing.T) {
	cl := new(Closer)
	c, peer := pair(t, cl)
	c.Tell(Owed)
	read := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		read <- err
	}()
	c.Close()
	if err := <-read; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a blocked Read got %v, want net.ErrClosed", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after Close got %v, want net.ErrClosed", err)
	}
	peer.Close()
	if err := cl.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestShutdownSaysWhatIsLeft(t *testing.T) {
	cl := new(Closer)
	c, peer := pair(t, cl)
	c.Tell(Owed)
	c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := cl.Shutdown(ctx); err == nil {
		t.Error("Shutdown did not wait for a farewell")
	}
	peer.Close()
	if err := cl.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestFarewellsAreBounded: one more than allowed ends at once by the next rung,
// and is counted.
func TestFarewellsAreBounded(t *testing.T) {
	needKernel(t)
	var got endings
	cl := &Closer{Ended: got.add}
	c, peer := pair(t, cl)
	a := new(noting)
	c.SetAccount(a)
	c.Tell(Owed)
	cl.mu.Lock()
	cl.waiting = maxFarewells
	cl.mu.Unlock()
	c.Close()
	hearEOF(t, peer) // although the peer has not closed
	got.wantOne(t, cl, FinReset)
	if !a.closing || a.ended != FinReset || !a.hurried || a.timeWait {
		t.Errorf("the account heard %+v", a)
	}
}

// A noting is an Account that notes.
type noting struct {
	closing, hurried, timeWait bool
	ended                      Ending
}

func (n *noting) Closing()                     { n.closing = true }
func (n *noting) Ended(e Ending, hurried bool) { n.ended, n.hurried = e, hurried }
func (n *noting) TimeWait()                    { n.timeWait = true }

// TestPolicyCheck: what cannot be used is reported, and taken as the default.
func TestPolicyCheck(t *testing.T) {
	if err := (Policy{}).Check(); err != nil {
		t.Error(err)
	}
	bad := Policy{Fallback: 9}
	var pe *PolicyError
	if err := bad.Check(); !errors.As(err, &pe) || pe.Field != "Fallback" {
		t.Errorf("got %v, want a *PolicyError about Fallback", err)
	}
	cl := &Closer{Policy: bad}
	c, _ := pair(t, cl)
	if _, err := Goodbye(t.Context(), c, func(net.Conn) error { return nil }); !errors.As(err, &pe) {
		t.Errorf("Goodbye: got %v, want a *PolicyError", err)
	}
	if err := cl.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestGoodbyeWithoutTCP: a connection that no Closer can see into is closed.
func TestGoodbyeWithoutTCP(t *testing.T) {
	c, peer := net.Pipe()
	defer peer.Close()
	e, err := Goodbye(t.Context(), c, func(net.Conn) error { return nil })
	if e != Unknown || err != nil {
		t.Errorf("ended %v, %v", e, err)
	}
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("it is still open")
	}
}

// TestPostponedClose: an upload that is under way ends before its connection does.
func TestPostponedClose(t *testing.T) {
	needKernel(t)
	var got endings
	cl := &Closer{Ended: got.add}
	c, peer := pair(t, cl)
	c.Tell(Sending)
	c.Close()
	say(t, c, "the rest") // the writer goes on
	hear(t, peer, "the rest")
	c.Sent(Owed)
	hearsClosed := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		hearsClosed <- err
	}()
	if err := <-hearsClosed; err == nil {
		t.Error("the connection is still open")
	}
	peer.Close()
	got.wantOne(t, cl, PeerFirst)
}

// TestGoodbyeTwice: two at a time hear of the same ending.
func TestGoodbyeTwice(t *testing.T) {
	cl := new(Closer)
	c, peer := pair(t, cl)
	got := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := Goodbye(t.Context(), c, func(net.Conn) error { return nil })
			got <- err
		}()
	}
	hearEOF(t, peer)
	for range 2 {
		if err := <-got; err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
	if err := cl.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
