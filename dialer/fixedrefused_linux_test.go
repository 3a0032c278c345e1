package dialer

import (
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/sockopt"
)

// TestKernelFixedPortsRefused: ports that would be lost to the host's other
// programs, and what cannot work, are an error of the first dial, and of all.
func TestKernelFixedPortsRefused(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		srv := listen(t, "tcp4", "127.0.0.1:8000")
		for _, tt := range []struct {
			d    *Dialer
			says string // or it is right
		}{
			{&Dialer{FixedPorts: PortRange{20000, 20063}}, "20000-20063"},
			{&Dialer{FixedPorts: PortRange{20010, 20010}}, "ip_local_reserved_ports"},
			{&Dialer{FixedPorts: PortRange{19000, 20000}}, "20000 of it"},
			{&Dialer{FixedPorts: PortRange{20999, 30000}}, "20999 of it"},
			{&Dialer{FixedPorts: PortRange{10000, 30000}}, "20000-20999 of it"},
			{&Dialer{FixedPorts: PortRange{20500, 20510}}, "ip_local_reserved_ports"}, // in part reserved
			{&Dialer{FixedPorts: PortRange{20501, 20510}}, ""},
			{&Dialer{FixedPorts: PortRange{19000, 19999}}, ""},
			{&Dialer{FixedPorts: PortRange{21000, 21001}}, ""},
			{&Dialer{FixedPorts: PortRange{10010, 10009}}, "no range"},
			{&Dialer{FixedPorts: PortRange{0, 10009}}, "no range"},
			{&Dialer{FixedPorts: PortRange{10010, 0}}, "no range"},
			{&Dialer{FixedPorts: fixedPorts, Ports: PortRange{20000, 20010}}, "Ports is set"},
			{&Dialer{FixedPorts: fixedPorts, Net: net.Dialer{LocalAddr: from("127.0.0.1:0")}}, "Sources"},
			{&Dialer{FixedPorts: fixedPorts, Sources: loopbacks(2)}, ""},
		} {
			d := tt.d
			for range 2 {
				conns, err := fill(t, d, srv.AddrPort, 1)
				fe, ok := errors.AsType[*FieldError](err)
				switch {
				case tt.says != "" && (!ok || fe.Field != "FixedPorts" || fe.Value != d.FixedPorts || !strings.Contains(err.Error(), tt.says)):
					t.Errorf("%v: got %v, want a FieldError with %q", d.FixedPorts, err, tt.says)
				case tt.says == "" && err != nil:
					t.Errorf("%v: %v", d.FixedPorts, err)
				case tt.says == "":
					if port := tcpAddr(conns[0].LocalAddr()).Port(); !d.FixedPorts.Contains(port) {
						t.Errorf("%v: got port %d", d.FixedPorts, port)
					}
				}
			}
		}

		sockopt.Portable.Store(true) // as on another system
		defer sockopt.Portable.Store(false)
		_, err := fill(t, &Dialer{FixedPorts: fixedPorts}, srv.AddrPort, 1)
		if fe, ok := errors.AsType[*FieldError](err); !ok || fe.Field != "FixedPorts" || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("elsewhere: %v", err)
		}
	}, fixedLab, netlab.Sysctl("net.ipv4.ip_local_reserved_ports", "8080,20501-20510"))
}

// TestKernelFixedPortsLeaveTheOthers: every port of the system's range still
// serves other programs, while reserved ones are in use, and after.
func TestKernelFixedPortsLeaveTheOthers(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		srv := listen(t, "tcp4", "127.0.0.1:8000")
		d := &Dialer{FixedPorts: PortRange{20010, 20019}, Linger: plain()}
		conns, err := fill(t, d, srv.AddrPort, 10)
		if err != nil {
			t.Fatal(err)
		}
		other := listen(t, "tcp4", "127.0.0.1:8001")
		if conns, err := fill(t, new(net.Dialer), other.AddrPort, 20); len(conns) != 10 {
			t.Errorf("another program makes %d connections, want 10: %v", len(conns), err)
		}
		for _, c := range conns {
			c.Close()
		}
		srv.awaitAndClose(t, 10)
		if err := d.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		third := listen(t, "tcp4", "127.0.0.1:8002")
		if conns, err := fill(t, new(net.Dialer), third.AddrPort, 20); len(conns) != 10 {
			t.Errorf("another program makes %d connections, want 10: %v", len(conns), err)
		}
	}, netlab.PortRange(20000, 20019), netlab.Sysctl("net.ipv4.ip_local_reserved_ports", "20010-20019"))
}

// TestKernelFixedPortsNoSelfConnect: where nobody listens on one of the ports,
// a stock client that is bound to it hears itself.
func TestKernelFixedPortsNoSelfConnect(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		self := netip.AddrPortFrom(loopback, 10000)
		c, err := (&net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(self)}).Dial("tcp", self.String())
		if err != nil || c.LocalAddr().String() != c.RemoteAddr().String() {
			t.Errorf("the stock client: %v", err)
		} else {
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
		for _, sources := range [][]netip.Addr{nil, {loopback}} {
			d := &Dialer{FixedPorts: PortRange{10000, 10000}, Sources: sources}
			if _, err := fill(t, d, self, 1); !errors.Is(err, ErrPortsExhausted) {
				t.Errorf("got %v", err)
			}
			// A port of a connection that was refused can be used at once.
			d = &Dialer{FixedPorts: PortRange{10000, 10001}, Sources: sources}
			began := time.Now()
			const dials = 50
			for range dials {
				if _, err := fill(t, d, self, 1); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Fatalf("got %v", err)
				}
			}
			if took := time.Since(began); took > dials*quarantine/2 {
				t.Errorf("%d dials that were refused took %v", dials, took)
			}
		}
	}, fixedLab)
}

// TestKernelFixedPortsOfOthers: ports that are listened on, or that somebody
// else has bound for himself, are left out.
func TestKernelFixedPortsOfOthers(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		srv := listen(t, "tcp4", "127.0.0.1:8000")
		listen(t, "tcp4", "127.0.0.1:10000")
		listen(t, "tcp4", "0.0.0.0:10002")
		elsewhere := listen(t, "tcp4", "127.0.0.1:8001")
		if _, err := fill(t, &net.Dialer{LocalAddr: from("127.0.0.1:10003")}, elsewhere.AddrPort, 1); err != nil {
			t.Fatal(err)
		}
		shared := &net.Dialer{LocalAddr: from("127.0.0.1:10004"), Control: reuseAddr}
		if _, err := fill(t, shared, srv.AddrPort, 1); err != nil {
			t.Fatal(err)
		}
		d := &Dialer{FixedPorts: PortRange{10000, 10005}}
		conns, err := fill(t, d, srv.AddrPort, 3)
		var ports []uint16
		for _, c := range conns {
			ports = append(ports, tcpAddr(c.LocalAddr()).Port())
		}
		if len(ports) != 2 || ports[0] != 10001 || ports[1] != 10005 {
			t.Errorf("got ports %v", ports)
		}
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Cause != PortsExhausted || e.States["established"] != 3 || e.Other != 3 || !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("got %v", err)
		}
		t.Log(err)
	}, fixedLab)
}

// TestKernelFixedPortsElsewhere: they are TCP's, and what can be no connection
// is explained as without them.
func TestKernelFixedPortsElsewhere(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		d := &Dialer{FixedPorts: fixedPorts}
		u, err := net.ListenPacket("udp4", "127.0.0.1:8000")
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		c, err := d.DialContext(t.Context(), "udp", u.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		if port := c.LocalAddr().(*net.UDPAddr).Port; fixedPorts.Contains(uint16(port)) {
			t.Errorf("port %d", port)
		}
		c.Close()
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if c, err = d.DialContext(t.Context(), "unix", path); err != nil {
			t.Fatal(err)
		}
		c.Close()

		for _, tt := range []struct {
			d     *Dialer
			to    string
			cause Cause
		}{
			{d, "192.0.2.1:80", NoRoute},
			{d, "[2001:db8::1]:80", NoSource},
			{&Dialer{FixedPorts: fixedPorts, Sources: loopbacks(1)}, "192.0.2.1:80", NoRoute},
		} {
			_, err := tt.d.DialContext(t.Context(), "tcp", tt.to)
			if e, ok := errors.AsType[*Error](err); !ok || e.Cause != tt.cause {
				t.Errorf("%s: %v, want %v", tt.to, err, tt.cause)
			}
		}
		_, err = (&Dialer{FixedPorts: fixedPorts, Sources: loopbacks(1)}).DialContext(t.Context(), "tcp", "[::1]:80")
		if err == nil || !strings.Contains(err.Error(), "no source address of its family") {
			t.Errorf("got %v", err)
		}
		d = &Dialer{FixedPorts: fixedPorts, Sources: []netip.Addr{netip.MustParseAddr("10.9.8.7")}}
		d.sources.local = true // it was once
		_, err = d.DialContext(t.Context(), "tcp", "127.0.0.1:80")
		if e, ok := errors.AsType[*Error](err); !ok || e.Cause != SourceNotLocal {
			t.Errorf("got %v", err)
		}
	}, fixedLab, netlab.Sysctl("net.ipv6.conf.lo.disable_ipv6", "1"))
}
