package dialer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// fixedPorts are outside the range of the labs below.
var fixedPorts = PortRange{10000, 10063}

var fixedLab = netlab.PortRange(20000, 20999)

func plain() *linger.Closer { return &linger.Closer{Policy: linger.Policy{Fallback: linger.Plain}} }

// hearAndClose reads the greeting, so that a close sends a FIN, and returns when
// it did not yet.
func hearAndClose(t testing.TB, c net.Conn) time.Time {
	t.Helper()
	var hello [6]byte
	if _, err := io.ReadFull(c, hello[:]); err != nil {
		t.Error(err)
	}
	defer c.Close()
	return time.Now()
}

// callAndClose makes a connection and closes it first.
func callAndClose(t testing.TB, d interface {
	DialContext(context.Context, string, string) (net.Conn, error)
}, to netip.AddrPort) (local netip.AddrPort, err error) {
	t.Helper()
	c, err := d.DialContext(t.Context(), "tcp", to.String())
	if err != nil {
		return local, err
	}
	hearAndClose(t, c)
	return tcpAddr(c.LocalAddr()), nil
}

// TestKernelFixedPorts: 64 ports, of which each connection leaves a TIME_WAIT,
// serve thousands, one after the other, though the kernel is not to use ports in
// TIME_WAIT again. None is used within a second.
func TestKernelFixedPorts(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		const destinations, turns = 8, 5
		m := new(metrics.Meter)
		d := &Dialer{FixedPorts: fixedPorts, Linger: plain(), Meter: m}
		var to []netip.AddrPort
		for i := range destinations {
			to = append(to, greet(t, fmt.Sprintf("127.0.0.1:%d", 8000+i), false))
		}

		// What a client can do that binds to a port by itself.
		stock := &net.Dialer{LocalAddr: from("127.0.0.1:9000")}
		if _, err := callAndClose(t, stock, to[0]); err != nil {
			t.Fatal(err)
		}
		lab.Settle(t, to[0], 10*time.Second)
		_, err := callAndClose(t, stock, to[0])
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("the stock client got %v, want %v", err, syscall.EADDRINUSE)
		}
		t.Logf("the stock client with a port of its own makes one connection, then: %v", err)

		before := lab.Counters(t)
		began := time.Now()
		const total = destinations * turns * 64
		var wg sync.WaitGroup
		for _, to := range to {
			wg.Go(func() {
				closed := make(map[uint16]time.Time)
				for i := range turns * 64 {
					c, err := d.DialContext(t.Context(), "tcp", to.String())
					connected := time.Now()
					if err != nil {
						t.Errorf("dial %d to %v: %v", i, to, err)
						return
					}
					port := tcpAddr(c.LocalAddr()).Port()
					if at, ok := closed[port]; !fixedPorts.Contains(port) || ok && connected.Sub(at) < quarantine {
						t.Errorf("port %d is used again after %v", port, connected.Sub(at))
					}
					closed[port] = hearAndClose(t, c)
				}
			})
		}
		wg.Wait()
		took := time.Since(began)
		if err := d.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		c := lab.Counters(t).Since(before)
		t.Logf("%d connections in %v, %d TIME_WAITs replaced (%v)", total, took.Round(time.Millisecond), c["TcpExtTWRecycled"], c)
		if c["TcpExtTWRecycled"] < total/2 {
			t.Errorf("%d TIME_WAITs replaced", c["TcpExtTWRecycled"])
		}
		s := m.Snapshot()
		if err := s.Balance(); err != nil || s.DialErrors != 0 || s.Born != total {
			t.Errorf("%d born, %d dials failed, %v", s.Born, s.DialErrors, err)
		}
		for _, to := range to {
			wantAll(t, &fixedRings, way{use{loopback, to}, fixedPorts})
		}
	}, fixedLab)
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// A slow server answers the end of what a client says late, unless the client
// says "q", for quick.
type slow struct {
	netip.AddrPort
	begun    atomic.Bool // to answer
	answered chan answered
}

type answered struct {
	said string
	err  error // of the answer
}

func slowly(t *testing.T, address string, after time.Duration) *slow {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &slow{AddrPort: l.Addr().(*net.TCPAddr).AddrPort(), answered: make(chan answered, 64)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				said, err := io.ReadAll(c)
				if err != nil || string(said) == "q" {
					return
				}
				<-time.After(after)
				s.begun.Store(true)
				_, err = io.WriteString(c, "late\n")
				s.answered <- answered{string(said), err}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return s
}

// TestKernelFixedPortsSpareFinWait2: a peer that has heard our FIN and is not
// done hears nothing else, though its connection's port is one of a few that
// connections are made from all the time. A stock client that binds to the port
// ends it.
func TestKernelFixedPortsSpareFinWait2(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		srv := slowly(t, "127.0.0.1:8000", 3*time.Second)
		say := func(d interface {
			DialContext(context.Context, string, string) (net.Conn, error)
		}, what string) net.Conn {
			t.Helper()
			c, err := d.DialContext(t.Context(), "tcp", srv.String())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, what); err != nil {
				t.Error(err)
			}
			return c
		}
		await := func(n int) {
			t.Helper()
			netlab.Eventually(t, 10*time.Second, fmt.Sprintf("%d in FIN_WAIT2", n), func() bool {
				return lab.States(t, srv.AddrPort).Client.MiniFinWait2 == n
			})
		}
		stock := &net.Dialer{LocalAddr: from("127.0.0.1:9000"), Control: reuseAddr}
		say(stock, "stock").Close()
		await(1)
		say(stock, "q").Close()
		lab.Settle(t, srv.AddrPort, 10*time.Second)

		d := &Dialer{FixedPorts: PortRange{10000, 10004}, Linger: plain()}
		before := lab.Counters(t)
		say(d, "closed").Close()
		say(d, "closed").Close()
		half := say(d, "half-closed")
		half.(*linger.Conn).CloseWrite()
		await(2)
		n := 0
		for !srv.begun.Load() {
			say(d, "q").Close()
			n++
			if c := lab.Counters(t).Since(before); c["TcpOutRsts"] != 0 && !srv.begun.Load() {
				t.Errorf("%d other connections, and a reset: %v", n, c)
				break
			}
		}
		if word, err := io.ReadAll(half); string(word) != "late\n" || err != nil {
			t.Errorf("the half-closed connection read %q, %v", word, err)
		}
		half.Close()
		for range 4 {
			a := <-srv.answered
			if disturbed := a.err != nil; disturbed != (a.said == "stock") {
				t.Errorf("the late word to the client %q: %v", a.said, a.err)
			}
		}
		c := lab.Counters(t).Since(before)
		if n > 2 && c["TcpExtTWRecycled"] == 0 {
			t.Errorf("%d other connections, but %v", n, c)
		}
		t.Logf("%d other connections meanwhile, %v", n, c)
		if err := d.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}, fixedLab)
}

// TestKernelFixedPortsWithoutTimestamps: no port is used again while its
// TIME_WAIT stands, and the error says why.
func TestKernelFixedPortsWithoutTimestamps(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		to := greet(t, "127.0.0.1:8000", false)
		d := &Dialer{FixedPorts: PortRange{10000, 10003}, Linger: plain()}
		before := lab.Counters(t)
		for range 4 {
			if _, err := callAndClose(t, d, to); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			_, err := callAndClose(t, d, to)
			e, ok := errors.AsType[*Error](err)
			if !ok || !errors.Is(err, ErrPortsExhausted) || !e.Fixed || e.States["time_wait"] != 4 || !strings.Contains(e.Advice, "tcp_timestamps") {
				t.Errorf("got %v", err)
			}
			t.Log(err)
		}
		// Somebody who does not know of the connections, as after a restart,
		// learns of it from the kernel.
		fixedRings = rings{}
		for range 4 {
			if _, err := callAndClose(t, d, to); !errors.Is(err, syscall.EADDRNOTAVAIL) {
				t.Errorf("got %v", err)
			}
		}
		if c := lab.Counters(t).Since(before); c["TcpExtTWRecycled"] != 0 || c["TcpActiveOpens"] != 4 {
			t.Errorf("%v", c)
		}
	}, fixedLab, netlab.Sysctl("net.ipv4.tcp_timestamps", "0"))
}

// TestKernelFixedPortsAfterRestart: with timestamps it uses what is in TIME_WAIT.
func TestKernelFixedPortsAfterRestart(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		for _, tt := range []struct{ network, address string }{{"tcp4", "127.0.0.1:8000"}, {"tcp6", "[::1]:8001"}} {
			srv := listen(t, tt.network, tt.address)
			d := &Dialer{FixedPorts: PortRange{10000, 10003}, Linger: plain()}
			for round := range 2 {
				before := lab.Counters(t)
				counting = counter{count: count} // without a pause
				conns, err := fill(t, d, srv.AddrPort, 5)
				if e, ok := errors.AsType[*Error](err); len(conns) != 4 || !ok || !errors.Is(err, ErrPortsExhausted) || e.States["established"] != 4 || e.Other != 0 {
					t.Fatalf("%d connections, then %v", len(conns), err)
				}
				t.Log(err)
				if c := lab.Counters(t).Since(before); c["TcpExtTWRecycled"] != int64(4*round) {
					t.Errorf("round %d: %v", round, c)
				}
				for _, c := range conns {
					c.Close()
				}
				srv.awaitAndClose(t, 4)
				netlab.Eventually(t, 10*time.Second, "four TIME_WAITs", func() bool {
					n, _ := lab.TimeWaits(t, srv.AddrPort)
					return n == 4
				})
				if err := d.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				fixedRings = rings{}
			}
		}
	}, fixedLab)
}
