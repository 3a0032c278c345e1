package metrics_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/witness"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// echo serves connections until the test ends: it sends back what comes, and
// closes after its peer. Its port is none that a client may get at another address:
// a census takes sockets on a port that is listened on for a server's.
func echo(t testing.TB) netip.AddrPort {
	l, err := net.Listen("tcp4", "127.0.0.1:8010")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				io.Copy(c, c)
				c.Close()
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// closeFirst makes n connections and closes each before its peer does, and after
// a word.
func closeFirst(t testing.TB, n int, dial func(ctx context.Context, network, address string) (net.Conn, error), to netip.AddrPort) {
	for range n {
		c, err := dial(t.Context(), "tcp4", to.String())
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte{1})
		io.ReadFull(c, make([]byte, 1))
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// plain ends its connections as net does.
func plain(m *metrics.Meter) *dialer.Dialer {
	return &dialer.Dialer{Meter: m, Linger: &linger.Closer{Policy: linger.Policy{Wait: -1, Fallback: linger.Plain}}}
}

// deaf has the harness hear no more of what this process counts.
func deaf() { witness.Hear(func(witness.Event, netip.AddrPort, netip.AddrPort) {}) }

// TestReconcile: among the TIME_WAITs of others the kernel confirms how many are
// ours, and notices if we count too few or too many.
func TestReconcile(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		to := echo(t)
		// At an address of its own, so that it never gets a port that ours have
		// just left: what it leaves there would be taken for ours.
		stock := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		closeFirst(t, 30, stock.DialContext, to) // before the Meter's time
		netlab.Eventually(t, 10*time.Second, "the TIME_WAITs of others", func() bool { n, _ := lab.TimeWaits(t, to); return n == 30 })

		m := new(metrics.Meter)
		if k := m.Snapshot().Kernel; k.Checked {
			t.Errorf("nobody has asked, but: %+v", k)
		}
		ours := plain(m)
		clean := &dialer.Dialer{Meter: m, Linger: &linger.Closer{Policy: linger.Policy{Fallback: linger.Abort}}}
		closeFirst(t, 20, ours.DialContext, to)
		closeFirst(t, 25, clean.DialContext, to)
		closeFirst(t, 10, stock.DialContext, to)
		for _, d := range []*dialer.Dialer{ours, clean} {
			if err := d.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		netlab.Eventually(t, 10*time.Second, "all TIME_WAITs", func() bool { n, _ := lab.TimeWaits(t, to); return n == 60 })
		reconcile := func() metrics.Reconciliation {
			t.Helper()
			r, err := m.Reconcile(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if k := m.Snapshot().Kernel; k != r || !k.Checked || k.At.IsZero() {
				t.Errorf("the Snapshot has %+v, Reconcile found %+v", k, r)
			}
			return r
		}
		s := m.Snapshot()
		if s.TimeWaits != 20 {
			t.Fatalf("%d TIME_WAITs are counted, want 20", s.TimeWaits)
		}
		r := reconcile()
		if !r.Agrees || r.Why != "" || r.Ours != 20 || r.Others != 40 || r.Counts && r.Created != 30 {
			t.Errorf("%+v", r)
		}
		if n := lab.Counters(t)["TcpExtTW"]; r.Counts && n != 60 {
			t.Errorf("the kernel has counted %d TIME_WAITs of 60", n)
		}

		// A census by 4-tuple.
		census, err := m.Census(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if census.Ours["time_wait"] != 20 || census.ByState["time_wait"] != 60 || census.ByDestination[to]["time_wait"] != 60 || census.Remaining.Count != 60 {
			t.Errorf("the census has %+v", census)
		}
		if left := census.Remaining.Sum / 60; left < 1 || left > 60.5 {
			t.Errorf("TIME_WAITs stand for %v s on average", left)
		}

		deaf() // what follows is wrong on purpose

		// Too few: connections are closed whose accounts hear nothing.
		closeFirst(t, 2, func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := stock.DialContext(ctx, network, address)
			if err == nil {
				life := m.Host(address).Born(true)
				life.SetAddrs(c.LocalAddr(), c.RemoteAddr())
				defer life.Ended(linger.PeerFirst, false)
			}
			return c, err
		}, to)
		netlab.Eventually(t, 10*time.Second, "what was not counted", func() bool { n, _ := lab.TimeWaits(t, to); return n == 62 })
		if r = reconcile(); r.Agrees || !strings.Contains(r.Why, "2 TIME_WAITs of ours are not counted") || r.Ours != 22 || r.Others != 40 {
			t.Errorf("two that are not counted: %+v", r)
		}

		// Too many.
		if !r.Counts {
			return // only a kernel that counts at creation knows
		}
		for range 13 { // 20 of 32 were ours
			m.Host("nobody").Born(true).TimeWait()
		}
		if r = reconcile(); r.Agrees || !strings.Contains(r.Why, "33 are counted, but the kernel has created only 32") {
			t.Errorf("one too many: %+v", r)
		}
	})
}

// TestReconcileOthersPorts: a TIME_WAIT that another's connection leaves on the
// 4-tuple of one of ours is not ours.
func TestReconcileOthersPorts(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		to := echo(t)
		m := new(metrics.Meter)
		ours := &dialer.Dialer{Meter: m, Linger: &linger.Closer{Policy: linger.Policy{Fallback: linger.Abort}}}
		var was net.Addr
		closeFirst(t, 1, func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := ours.DialContext(ctx, network, address)
			if err == nil {
				was = c.LocalAddr()
			}
			return c, err
		}, to)
		if err := ours.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-time.After(1500 * time.Millisecond) // else it might be ours
		closeFirst(t, 1, (&net.Dialer{LocalAddr: was}).DialContext, to)
		netlab.Eventually(t, 10*time.Second, "the TIME_WAIT", func() bool { n, _ := lab.TimeWaits(t, to); return n == 1 })
		if r, err := m.Reconcile(t.Context()); err != nil || !r.Agrees || r.Ours != 0 || r.Others != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		if c, err := m.Census(t.Context()); err != nil || c.Ours["time_wait"] != 0 || c.ByState["time_wait"] != 1 {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

// TestReconcileWaits: a TIME_WAIT that stands and is counted a moment later is no
// disagreement.
func TestReconcileWaits(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		deaf() // a TIME_WAIT is counted that nobody sees
		to := echo(t)
		m := new(metrics.Meter)
		var life *metrics.Conn
		closeFirst(t, 1, func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			if err == nil {
				life = m.Host(address).Born(true)
				life.SetAddrs(c.LocalAddr(), c.RemoteAddr())
			}
			return c, err
		}, to)
		netlab.Eventually(t, 10*time.Second, "the TIME_WAIT", func() bool { n, _ := lab.TimeWaits(t, to); return n == 1 })
		var wg sync.WaitGroup
		defer wg.Wait()
		defer life.Ended(linger.LocalFirst, false)
		wg.Go(func() {
			<-time.After(50 * time.Millisecond)
			life.TimeWait()
		})
		if r, err := m.Reconcile(t.Context()); err != nil || !r.Agrees || r.Ours != 1 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestReconcileCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := new(metrics.Meter)
	if r, err := m.Reconcile(ctx); !errors.Is(err, context.Canceled) || r.Checked || m.Snapshot().Kernel.Checked {
		t.Errorf("%+v, %v", r, err)
	}
}
