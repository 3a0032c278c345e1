package dialer

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// wantAllBack waits until no port of any ring is out, and checks that each is
// there once.
func wantAllBack(t *testing.T) {
	t.Helper()
	out := func() int {
		fixedRings.mu.Lock()
		defer fixedRings.mu.Unlock()
		n := 0
		for _, g := range fixedRings.by {
			n += g.out
		}
		return n
	}
	netlab.Eventually(t, 20*time.Second, "all ports are back", func() bool { return out() == 0 })
	for w := range fixedRings.by {
		wantAll(t, &fixedRings, w)
	}
}

// TestKernelFixedPortsComeBack: whatever becomes of a dial or its connection,
// and however many there are at a time, each port comes back once.
func TestKernelFixedPortsComeBack(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		six := netip.IPv6Loopback()
		srv4, srv6 := listen(t, "tcp4", "127.0.0.1:8000"), listen(t, "tcp6", "[::1]:8000")
		hole := listen(t, "tcp4", "127.0.0.1:8001")
		deaf := listen(t, "tcp6", "[::1]:8002") // of a pair: the other family answers
		listen(t, "tcp4", "127.0.0.1:8002")
		lab.BlackHole(t, hole.AddrPort)
		lab.BlackHole(t, deaf.AddrPort)
		to := []string{
			srv4.String(), srv6.String(), "both.test:8000",
			hole.String(), "both.test:8002", // a race, which IPv6 loses
			"127.0.0.1:8003", "both.test:8003", // nobody listens
			"192.0.2.1:80", // no route
		}
		hosts := resolverOf(loopback, six)
		m := new(metrics.Meter)
		var refuse atomic.Uint32
		template := net.Dialer{Resolver: hosts, FallbackDelay: 10 * time.Millisecond, Control: func(_, _ string, _ syscall.RawConn) error {
			if refuse.Add(1)%16 == 0 {
				return errors.New("the hook of the user's says no")
			}
			return nil
		}}
		dialers := []*Dialer{
			{FixedPorts: PortRange{10000, 10015}, Net: template, Linger: plain(), Meter: m},
			{FixedPorts: PortRange{10000, 10015}, Net: template, Meter: m}, // shares them
			{FixedPorts: PortRange{10000, 10003}, Net: template, Meter: m, Sources: append(loopbacks(2), six)},
		}
		var made, failed [8]atomic.Uint32
		var wg sync.WaitGroup
		for i := range uint64(12) {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(1, i))
				for range 25 {
					which := rnd.IntN(len(to))
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(5+rnd.IntN(300))*time.Millisecond)
					c, err := dialers[rnd.IntN(len(dialers))].DialContext(ctx, "tcp", to[which])
					cancel()
					if err != nil {
						failed[which].Add(1)
						continue
					}
					made[which].Add(1)
					switch rnd.IntN(3) {
					case 0:
						c.(*linger.Conn).Tell(linger.Broken)
					case 1:
						c.Write([]byte("x"))
					}
					wg.Go(func() { c.Close() })
					c.Close()
				}
			})
		}
		wg.Wait()
		for i, to := range to {
			t.Logf("%s: %d made, %d failed", to, made[i].Load(), failed[i].Load())
			if want := i < 3 || i == 4; want != (made[i].Load() > 0) {
				t.Errorf("%s: %d made, %d failed", to, made[i].Load(), failed[i].Load())
			}
		}
		srv4.closeAll()
		srv6.closeAll()
		for _, d := range dialers {
			if err := d.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}
		wantAllBack(t)
		d := dialers[2]
		d.sources.expire(time.Now().Add(2 * timeWaitFor))
		if len(d.sources.used) != 0 {
			t.Errorf("sources are left in use: %v", d.sources.used)
		}
		if err := m.Snapshot().Balance(); err != nil {
			t.Error(err)
		}
	}, fixedLab)
}

// TestKernelFixedPortsSources: each source has all of the ports for each
// destination, and a dial goes on to the next source before it waits.
func TestKernelFixedPortsSources(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		srv := listen(t, "tcp4", "127.0.0.1:8000")
		d := &Dialer{FixedPorts: PortRange{10000, 10003}, Sources: loopbacks(3)}
		conns, err := fill(t, d, srv.AddrPort, 20)
		if n := bySource(conns); len(conns) != 12 || n[d.Sources[0]] != 4 || n[d.Sources[2]] != 4 {
			t.Errorf("%d connections: %v", len(conns), n)
		}
		e, ok := errors.AsType[*Error](err)
		if !ok || !errors.Is(err, ErrPortsExhausted) || len(e.Sources) != 3 || e.States["established"] != 12 || e.Other != 0 {
			t.Errorf("got %v", err)
		}
		if conns, err := fill(t, d, listen(t, "tcp4", "127.0.0.1:8001").AddrPort, 12); err != nil {
			t.Errorf("to another destination: %d, then %v", len(conns), err)
		}
		// One that ends serves the next dial, from wherever it was.
		gone := conns[5].LocalAddr()
		conns[5].(*linger.Conn).Tell(linger.Broken)
		closed := time.Now()
		conns[5].Close()
		again, err := fill(t, d, srv.AddrPort, 1)
		if err != nil || again[0].LocalAddr().String() != gone.String() || time.Since(closed) < quarantine {
			t.Errorf("after %v: %v, %v; want it at %v", time.Since(closed), again, err, gone)
		}
	}, fixedLab)
}

// TestKernelFixedPortsOfLeaks: a connection that nobody closes, and that is
// collected, has not taken its port along.
func TestKernelFixedPortsOfLeaks(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		srv := listen(t, "tcp4", "127.0.0.1:8000")
		d := &Dialer{FixedPorts: PortRange{10000, 10001}}
		for range 2 {
			if _, err := d.DialContext(t.Context(), "tcp", srv.String()); err != nil {
				t.Fatal(err)
			}
		}
		netlab.Eventually(t, 20*time.Second, "the ports are back", func() bool {
			runtime.GC()
			fixedRings.mu.Lock()
			defer fixedRings.mu.Unlock()
			for _, g := range fixedRings.by {
				return g.out == 0
			}
			return false
		})
		wantAllBack(t)
	}, fixedLab)
}

// BenchmarkFixedPorts: what a port of one's own costs, beside the kernel's.
func BenchmarkFixedPorts(b *testing.B) {
	srv := listen(b, "tcp4", "127.0.0.1:0")
	for _, bm := range []struct {
		name string
		d    *Dialer
	}{
		{"kernel", new(Dialer)},
		{"fixed", &Dialer{FixedPorts: PortRange{2000, 30000}}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			for b.Loop() {
				c, err := bm.d.DialContext(b.Context(), "tcp", srv.String())
				if err != nil {
					b.Fatal(err)
				}
				c.(*linger.Conn).Tell(linger.Broken)
				c.Close()
			}
		})
		srv.closeAll()
	}
}
