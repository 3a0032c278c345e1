package dialer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// loopbacks are n source addresses that Linux has without being told.
func loopbacks(n int) []netip.Addr {
	list := make([]netip.Addr, n)
	for i := range list {
		list[i] = netip.AddrFrom4([4]byte{127, 0, 1, byte(i + 1)})
	}
	return list
}

func bySource(conns []net.Conn) map[netip.Addr]int {
	n := make(map[netip.Addr]int)
	for _, c := range conns {
		n[tcpAddr(c.LocalAddr()).Addr()]++
	}
	return n
}

// TestKernelFourSources: four source addresses carry four times the connections
// of one, each the same number at any time, and one that ends makes room at its
// own.
func TestKernelFourSources(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		const ports = 50
		one := &Dialer{Sources: loopbacks(1)}
		conns, err := fill(t, one, listen(t, "tcp4", "127.0.0.1:8000").AddrPort, ports+1)
		if e, ok := errors.AsType[*Error](err); len(conns) != ports || !ok || e.Cause != PortsExhausted {
			t.Errorf("one source: %d connections, then %v", len(conns), err)
		}

		srv := listen(t, "tcp4", "127.0.0.1:8001")
		m := new(metrics.Meter)
		four := &Dialer{Sources: loopbacks(4), Meter: m}
		conns, err = fill(t, four, srv.AddrPort, 2*ports)
		if err != nil {
			t.Fatal(err)
		}
		if n := bySource(conns); len(n) != 4 || n[four.Sources[0]] != ports/2 || n[four.Sources[3]] != ports/2 {
			t.Errorf("half full: %v", n)
		}
		counting = counter{count: count} // without the pause after the count above
		more, err := fill(t, four, srv.AddrPort, 4*ports)
		conns = append(conns, more...)
		if n := bySource(conns); len(conns) != 4*ports || n[four.Sources[0]] != ports {
			t.Errorf("%d connections: %v", len(conns), n)
		}
		e, ok := errors.AsType[*Error](err)
		if !ok || !errors.Is(err, ErrPortsExhausted) || len(e.Sources) != 4 || e.States["established"] != 4*ports || e.Other != 0 {
			t.Errorf("four sources: %v", err)
		}
		t.Log(err)

		last := conns[len(conns)-1].(*linger.Conn)
		gone := tcpAddr(last.LocalAddr()).Addr()
		last.Tell(linger.Broken)
		last.Close()
		netlab.Eventually(t, 10*time.Second, "it has ended", func() bool {
			four.sources.mu.Lock()
			defer four.sources.mu.Unlock()
			return four.sources.used[use{gone, srv.AddrPort}] == ports-1
		})
		again, err := fill(t, four, srv.AddrPort, 1)
		if err != nil || bySource(again)[gone] != 1 {
			t.Errorf("in its place: %v, %v", again, err)
		}
		for _, c := range append(conns, again...) {
			c.(*linger.Conn).Tell(linger.Broken)
			c.Close()
		}
		if err := four.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(four.sources.used); n != 0 {
			t.Errorf("%d uses are left", n)
		}
		if err := m.Snapshot().Balance(); err != nil {
			t.Error(err)
		}
	}, netlab.PortRange(20000, 20049))
}

// TestKernelSourceIsExhaustedByOthers: the Dialer does not know of them, and
// finds a source that has ports, however many have none.
func TestKernelSourceIsExhaustedByOthers(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		const ports, sources = 10, 8
		srv := listen(t, "tcp4", "127.0.0.1:8000")
		list := loopbacks(sources)
		for _, s := range list[:sources-1] {
			other := &Dialer{Sources: []netip.Addr{s}}
			if _, err := fill(t, other, srv.AddrPort, ports); err != nil {
				t.Fatal(err)
			}
		}
		d := &Dialer{Sources: list}
		conns, err := fill(t, d, srv.AddrPort, ports+1)
		if len(conns) != ports || bySource(conns)[list[sources-1]] != ports {
			t.Errorf("got %v", bySource(conns))
		}
		if e, ok := errors.AsType[*Error](err); !ok || len(e.Sources) != sources {
			t.Errorf("got %v", err)
		}
	}, netlab.PortRange(20000, 20009))
}

// TestKernelSourcesAtOnce: many callers share four sources whose ports are just
// enough, connections end all the time, and at the end nothing is in use.
func TestKernelSourcesAtOnce(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		const ports, callers, turns = 10, 40, 50
		addr := greet(t, "127.0.0.1:8000", false)
		m := new(metrics.Meter)
		d := &Dialer{Sources: loopbacks(4), Meter: m}
		var exhausted atomic.Int64
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range turns {
					c, err := d.DialContext(t.Context(), "tcp", addr.String())
					if err != nil {
						// The port of the one before may not be free yet.
						if !errors.Is(err, ErrPortsExhausted) {
							t.Error(err)
						}
						exhausted.Add(1)
						continue
					}
					var hello [6]byte
					if _, err := io.ReadFull(c, hello[:]); err != nil {
						t.Error(err)
					}
					c.Close()
				}
			})
		}
		wg.Wait()
		if err := d.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		t.Logf("%d of %d dials found no port", exhausted.Load(), callers*turns)
		netlab.Eventually(t, 10*time.Second, "nothing is used", func() bool {
			d.sources.mu.Lock()
			defer d.sources.mu.Unlock()
			inUse := 0
			for _, n := range d.sources.used {
				inUse += n
			}
			return inUse == len(d.sources.waits)
		})
		if n := len(d.sources.waits); uint64(n) != m.Snapshot().TimeWaits {
			t.Errorf("%d TIME_WAITs are in use, %d were counted", n, m.Snapshot().TimeWaits)
		}
	}, netlab.PortRange(20000, 20009))
}

// ip changes an address of lo.
func ip(t *testing.T, verb, address string) {
	t.Helper()
	path, err := exec.LookPath("ip")
	if err != nil {
		netlab.Missing(t, "ip", "apt-get install iproute2")
	}
	if out, err := exec.Command(path, "address", verb, address, "dev", "lo").CombinedOutput(); err != nil {
		t.Fatalf("ip address %s %s: %v\n%s", verb, address, err, out)
	}
}

// TestKernelSourceComesAndGoes: an address that is not there yet is named; one
// that disappears is put aside, and used again when it is back.
func TestKernelSourceComesAndGoes(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		const address = "10.11.12.13"
		comes := netip.MustParseAddr(address)
		srv := listen(t, "tcp4", "127.0.0.1:8000")
		log, lines := logTo()
		d := &Dialer{Sources: append(loopbacks(1), comes), Logger: log}
		for range 2 {
			_, err := fill(t, d, srv.AddrPort, 1)
			if fe, ok := errors.AsType[*FieldError](err); !ok || fe.Value != comes || !strings.Contains(err.Error(), address) {
				t.Fatalf("before it is there: %v", err)
			}
		}
		ip(t, "add", address+"/32")
		conns, err := fill(t, d, srv.AddrPort, 4)
		if err != nil || bySource(conns)[comes] != 2 {
			t.Fatalf("%v, %v", bySource(conns), err)
		}
		ip(t, "del", address+"/32")
		conns, err = fill(t, d, srv.AddrPort, 4)
		if err != nil || bySource(conns)[comes] != 0 {
			t.Fatalf("without it: %v, %v", bySource(conns), err)
		}
		if n := strings.Count(lines.String(), "\n"); n != 1 || !strings.Contains(lines.String(), address) {
			t.Errorf("the log has %d lines:\n%s", n, lines)
		}
		// Alone it says so.
		alone := &Dialer{Sources: []netip.Addr{comes}}
		alone.sources.local = true
		_, err = fill(t, alone, srv.AddrPort, 1)
		if e, ok := errors.AsType[*Error](err); !ok || e.Cause != SourceNotLocal || !strings.Contains(err.Error(), address) {
			t.Errorf("alone: %v", err)
		}

		ip(t, "add", address+"/32")
		d.sources.mu.Lock()
		d.sources.aside[comes] = time.Now() // some seconds later
		d.sources.mu.Unlock()
		if conns, err = fill(t, d, srv.AddrPort, 4); err != nil || bySource(conns)[comes] == 0 {
			t.Errorf("with it again: %v, %v", bySource(conns), err)
		}
	})
}

// TestKernelSourceFamilies: each destination is dialled from its own family, the
// one that has no source not at all, and Happy Eyeballs go on.
func TestKernelSourceFamilies(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		four, six := netip.MustParseAddr("127.0.1.1"), netip.IPv6Loopback()
		srv4 := listen(t, "tcp4", "127.0.0.1:8000")
		srv6 := listen(t, "tcp6", "[::1]:8000")
		hosts := resolverOf(netip.MustParseAddr("127.0.0.1"), six)
		for _, tt := range []struct {
			sources []netip.Addr
			network string
			to      string
			want    netip.Addr // or an error
		}{
			{[]netip.Addr{four, six}, "tcp", srv4.String(), four},
			{[]netip.Addr{four, six}, "tcp", srv6.String(), six},
			{[]netip.Addr{six}, "tcp", srv4.String(), netip.Addr{}},
			{[]netip.Addr{four}, "tcp", "both.test:8000", four},
			{[]netip.Addr{six}, "tcp", "both.test:8000", six},
			{[]netip.Addr{six}, "tcp4", "both.test:8000", netip.Addr{}},
			{[]netip.Addr{four, six}, "tcp6", "both.test:8000", six},
		} {
			t.Run(fmt.Sprint(tt.sources, tt.network, tt.to), func(t *testing.T) {
				d := &Dialer{Sources: tt.sources, Net: net.Dialer{Resolver: hosts}}
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				c, err := d.DialContext(ctx, tt.network, tt.to)
				if err != nil {
					if tt.want.IsValid() || !strings.Contains(err.Error(), "no source address") {
						t.Error(err)
					}
					if n := len(d.sources.used); n != 0 {
						t.Errorf("%d uses are left", n)
					}
					return
				}
				if got := tcpAddr(c.LocalAddr()).Addr(); got != tt.want {
					t.Errorf("from %v, want %v", got, tt.want)
				}
				c.(*linger.Conn).Tell(linger.Broken)
				c.Close()
				if err := d.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				netlab.Eventually(t, 10*time.Second, "nothing is used", func() bool {
					d.sources.mu.Lock()
					defer d.sources.mu.Unlock()
					return len(d.sources.used) == 0
				})
			})
		}
	})
}
