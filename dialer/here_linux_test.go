package dialer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/linger"
)

// TestThisHost: an address without a host, or any address of it, is this host,
// as it is to the net package, and its connections are in the accounts.
func TestThisHost(t *testing.T) {
	for _, tt := range []struct{ network, listen, dial string }{
		{"tcp", "127.0.0.1:0", ":%d"},
		{"tcp", "127.0.0.1:0", "0.0.0.0:%d"},
		{"tcp4", "127.0.0.1:0", "[::]:%d"},
		{"tcp6", "[::1]:0", ":%d"},
		{"tcp6", "[::1]:0", "[::]:%d"},
	} {
		srv := listen(t, tt.network, tt.listen)
		address := fmt.Sprintf(tt.dial, srv.Port())
		for _, sources := range [][]netip.Addr{nil, {loopback, netip.IPv6Loopback()}} {
			d := &Dialer{Sources: sources}
			c, err := d.DialContext(t.Context(), tt.network, address)
			stock, stockErr := net.Dial(tt.network, address)
			if stockErr == nil {
				stock.Close()
			}
			if (err == nil) != (stockErr == nil) {
				t.Errorf("%s %s: got %v; the net package %v", tt.network, address, err, stockErr)
			}
			if err != nil {
				continue
			}
			if n := len(d.sources.used); sources != nil && n != 1 {
				t.Errorf("%s %s: %d sources are in use", tt.network, address, n)
			}
			c.Close()
			if err := d.Shutdown(t.Context()); err != nil || len(d.sources.used) > len(d.sources.waits) {
				t.Errorf("%s %s: %v, and in the end %v", tt.network, address, err, d.sources.used)
			}
		}
	}
}

// wantSpared checks that a connection to the server's address, by whatever name,
// is left alone by the next dial while its peer still writes.
func wantSpared(t *testing.T, d *Dialer, to string, srv *slow) {
	t.Helper()
	c, err := d.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "once")
	c.Close()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 2*quarantine)
		c, err := d.DialContext(ctx, "tcp", to)
		cancel()
		if err == nil {
			io.WriteString(c, "q")
			c.Close()
		}
		if !errors.Is(err, ErrPortsExhausted) && !srv.begun.Load() {
			t.Errorf("another dial while the peer still writes: %v", err)
		}
		select {
		case a := <-srv.answered:
			if a.err != nil {
				t.Errorf("the peer's late word: %v", a.err)
			}
			return
		case <-time.After(quarantine / 10):
		}
	}
}

// TestKernelFixedPortsThisHost: what the kernel connects to is looked up, not
// what it was asked for.
func TestKernelFixedPortsThisHost(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		d := &Dialer{FixedPorts: PortRange{10000, 10000}, Linger: plain()}
		wantSpared(t, d, "0.0.0.0:8000", slowly(t, "127.0.0.1:8000", 3*time.Second))
		two := loopbacks(2)[1:]
		d = &Dialer{FixedPorts: PortRange{10001, 10001}, Linger: plain(), Sources: two}
		wantSpared(t, d, ":8000", slowly(t, netip.AddrPortFrom(two[0], 8000).String(), 3*time.Second))

		srv := listen(t, "tcp4", "127.0.0.1:8001")
		d = &Dialer{FixedPorts: PortRange{10000, 10003}, Linger: &linger.Closer{}}
		conns, err := fill(t, d, netip.MustParseAddrPort("0.0.0.0:8001"), 5)
		e, ok := errors.AsType[*Error](err)
		if len(conns) != 4 || !ok || e.Destination != srv.AddrPort || e.States["established"] != 4 {
			t.Errorf("%d connections, then %v", len(conns), err)
		}
	}, fixedLab)
}

// TestKernelFixedPortsOnDevice: nor is it spared less where the user's hook binds
// the socket to a device, without which the kernel does not find it.
func TestKernelFixedPortsOnDevice(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		d := &Dialer{FixedPorts: PortRange{10000, 10000}, Linger: plain(), Sources: []netip.Addr{loopback}}
		d.Net.Control = func(_, _ string, c syscall.RawConn) (err error) {
			c.Control(func(fd uintptr) {
				err = syscall.SetsockoptString(int(fd), syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, "lo")
			})
			return err
		}
		wantSpared(t, d, "127.0.0.1:8000", slowly(t, "127.0.0.1:8000", 3*time.Second))
	}, fixedLab)
}

// TestKernelFixedPortsOfPredecessor: another process has hundreds of the ports,
// such as the one that this takes the place of. The others serve at once.
func TestKernelFixedPortsOfPredecessor(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		srv := listen(t, "tcp4", "127.0.0.1:8000")
		d := &Dialer{FixedPorts: PortRange{10000, 10999}}
		if _, err := fill(t, d, srv.AddrPort, 500); err != nil {
			t.Fatal(err)
		}
		fixedRings = rings{}
		if _, err := fill(t, d, srv.AddrPort, 1); err != nil {
			t.Error(err)
		}
	}, fixedLab)
}

// TestKernelFixedPortsWaitOverall: a dial waits for a port of any source, and no
// longer than for one of a single source.
func TestKernelFixedPortsWaitOverall(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		srv := listen(t, "tcp4", "127.0.0.1:8000") // which does not close: FIN_WAIT2
		d := &Dialer{FixedPorts: PortRange{10000, 10000}, Linger: plain(), Sources: loopbacks(6)}
		conns, err := fill(t, d, srv.AddrPort, 6)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range conns {
			c.Write([]byte("x"))
			c.Close()
		}
		began := time.Now()
		_, err = d.DialContext(t.Context(), "tcp", srv.String())
		if took := time.Since(began); !errors.Is(err, ErrPortsExhausted) || took > maxPortWait+quarantine {
			t.Errorf("%v after %v", err, took)
		}
	}, fixedLab)
}

// TestKernelFixedPortsOfPredecessorWithoutTimestamps: the kernel says of a
// TIME_WAIT that another process has left whether it has timestamps only when a
// connection is refused. One is enough.
func TestKernelFixedPortsOfPredecessorWithoutTimestamps(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		to := greet(t, "127.0.0.1:8000", false)
		d := &Dialer{FixedPorts: PortRange{10000, 10199}, Linger: plain()}
		for range 100 {
			if _, err := callAndClose(t, d, to); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		<-time.After(quarantine + quarantine/5)
		fixedRings = rings{}
		for range 3 {
			if _, err := callAndClose(t, d, to); err != nil {
				t.Error(err)
			}
		}
	}, fixedLab, netlab.Sysctl("net.ipv4.tcp_timestamps", "0"))
}

// TestKernelSourcesOfLeaks: a connection that nobody closes, and that is
// collected, does not count for its source any more.
func TestKernelSourcesOfLeaks(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		srv := listen(t, "tcp4", "127.0.0.1:8000")
		d := &Dialer{Sources: loopbacks(2)}
		for range 4 {
			if _, err := d.DialContext(t.Context(), "tcp", srv.String()); err != nil {
				t.Fatal(err)
			}
		}
		netlab.Eventually(t, 20*time.Second, "none is in use", func() bool {
			runtime.GC()
			d.sources.mu.Lock()
			defer d.sources.mu.Unlock()
			return len(d.sources.used) == 0
		})
	})
}

// TestKernelFixedPortsResolveOnce: a name is not resolved again where another
// port would not help.
func TestKernelFixedPortsResolveOnce(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		var asked atomic.Int32
		hosts := resolverOf(loopback, netip.IPv6Loopback())
		dial := hosts.Dial
		hosts.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			asked.Add(1)
			return dial(ctx, network, address)
		}
		d := &Dialer{FixedPorts: fixedPorts, Net: net.Dialer{Resolver: hosts}}
		_, err := d.DialContext(t.Context(), "tcp6", "six.test:8000")
		if e, ok := errors.AsType[*Error](err); !ok || e.Cause != NoSource || asked.Load() != 1 {
			t.Errorf("after %d questions: %v", asked.Load(), err)
		}
	}, fixedLab, netlab.Sysctl("net.ipv6.conf.lo.disable_ipv6", "1"))
}
