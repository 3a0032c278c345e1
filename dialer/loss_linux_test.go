package dialer

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/sockdiag"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

const (
	statements    = 700
	statementSize = 400 << 10
)

// A slowReader takes each connection's bytes slowly and counts those that came
// whole and ended with a clean end of file.
type slowReader struct {
	l     net.Listener
	wg    sync.WaitGroup
	mu    sync.Mutex
	whole int
}

// startSlowReader listens with a small window, so that what it has not read
// stays with the sender, or with the proxy.
func startSlowReader(t *testing.T) *slowReader {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 8<<10)
		})
	}}
	l, err := lc.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &slowReader{l: l}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.read(c) })
		}
	})
	t.Cleanup(func() { l.Close() })
	return s
}

func (s *slowReader) read(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	<-time.After(400 * time.Millisecond)
	got := 0
	for buf := make([]byte, 16<<10); ; {
		n, err := c.Read(buf)
		got += n
		if err == io.EOF && got == statementSize {
			s.mu.Lock()
			s.whole++
			s.mu.Unlock()
		}
		if err != nil {
			return
		}
		<-time.After(time.Millisecond)
	}
}

func (s *slowReader) addr() netip.AddrPort { return s.l.Addr().(*net.TCPAddr).AddrPort() }

// count waits for all connections that were accepted and returns how many came
// whole. Those that were not are lost: see ended.
func (s *slowReader) count() int {
	s.l.Close()
	s.wg.Wait()
	return s.whole
}

// TestKernelNoByteLost: a bare connection on which something was said that
// nobody has answered is closed so that all of it arrives, directly and through
// a proxy that holds it back. The endings that are not taken there do lose,
// which shows that the test can see it.
func TestKernelNoByteLost(t *testing.T) {
	for _, tt := range []struct {
		name     string
		policy   linger.Policy
		tell     linger.Fact
		viaProxy bool
		loss     int // percent of the packets
		n        int
		mustLose bool
		mayLose  bool // it depends on when the proxy looks
	}{
		{name: "direct", n: statements},
		{name: "via HAProxy", viaProxy: true, n: statements},
		{name: "direct, 5 % loss", loss: 5, n: 60},
		{name: "via HAProxy, 5 % loss", viaProxy: true, loss: 5, n: 60},
		{name: "abort, via HAProxy", policy: linger.Policy{Fallback: linger.Abort}, viaProxy: true, n: statements, mustLose: true},
		{name: "abort, direct", policy: linger.Policy{Fallback: linger.Abort}, n: statements, mustLose: true},
		{name: "FIN-then-reset forced, via HAProxy", tell: linger.Complete, viaProxy: true, n: statements, mayLose: true},
		{name: "FIN-then-reset forced, direct", tell: linger.Complete, n: statements, mayLose: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			netlab.Run(t, func(lab *netlab.Lab) {
				n := tt.n
				if testing.Short() && !tt.mustLose {
					n /= 10
				}
				srv := startSlowReader(t)
				addr := srv.addr()
				if tt.viaProxy {
					addr = lab.ProxyTCP(t, addr)
				}
				if tt.loss > 0 {
					defer lab.Loss(t, tt.loss)()
				}
				m := new(metrics.Meter)
				d := &Dialer{Meter: m, Linger: &linger.Closer{Policy: tt.policy}}
				state(t, d, addr, n, tt.tell)
				// Shutdown has the accounts closed. What the kernel is still
				// delivering after seconds, on a busy machine, would not be in
				// them.
				ended(t, lab, addr)
				ended(t, lab, srv.addr())
				if tt.loss == 0 && !tt.viaProxy {
					waits := func() int {
						st := lab.States(t, addr)
						return st.Client.TimeWaits() + st.Client.MiniFinWait2
					}
					netlab.Eventually(t, 20*time.Second, "our count is the kernel's", func() bool {
						return uint64(waits()) == m.Snapshot().TimeWaits
					})
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := d.Shutdown(ctx); err != nil {
					t.Error(err)
				}
				whole := srv.count()
				s := m.Snapshot()
				if err := s.Balance(); err != nil {
					t.Error(err)
				}
				switch lost := n - whole; {
				case tt.mustLose && lost == 0:
					t.Errorf("all %d arrived whole: the test sees no loss", n)
				case !tt.mustLose && !tt.mayLose && lost > 0:
					t.Errorf("%d of %d did not arrive whole", lost, n)
				}
				t.Logf("%d of %d arrived whole; endings %v", whole, n, s.Ended)
			})
		})
	}
}

// ended waits until nobody has anything of a connection to the server left: all
// of it was read, or given up. Before that the connection may still wait to be
// accepted, by the proxy or by the reader behind it, and would be reset by a
// listener that closes: a loss, but not of ours.
func ended(t *testing.T, lab *netlab.Lab, server netip.AddrPort) {
	t.Helper()
	netlab.Eventually(t, 2*time.Minute, "every connection has ended", func() bool {
		st := lab.States(t, server)
		for _, side := range []netlab.Side{st.Client, st.Server} {
			for state, n := range side.By {
				if state != sockdiag.TimeWait && n > 0 {
					return false
				}
			}
		}
		return true
	})
}

// state opens n connections, writes on each and closes it without a pause.
func state(t *testing.T, d *Dialer, to netip.AddrPort, n int, tell linger.Fact) {
	text := bytes.Repeat([]byte("x"), statementSize)
	left := make(chan struct{}, n)
	for range n {
		left <- struct{}{}
	}
	close(left)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for range left {
				c, err := d.DialContext(t.Context(), "tcp", to.String())
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := c.Write(text); err != nil {
					t.Error(err)
				}
				if tell != linger.Unsure {
					c.(*linger.Conn).Tell(tell)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
