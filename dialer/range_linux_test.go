package dialer

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/procfs"
	"github.com/lastack/lastack/internal/sockopt"
)

// TestKernelPorts: connections are made from the range that was asked for, and
// from no other; the other half of the system's stays free.
func TestKernelPorts(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		for _, tt := range []struct {
			name    string
			d       *Dialer
			network string
			host    string
			want    PortRange
		}{
			{"whole", &Dialer{}, "tcp4", "127.0.0.1", PortRange{20000, 20099}},
			{"narrow", &Dialer{Ports: PortRange{20010, 20019}}, "tcp4", "127.0.0.1", PortRange{20010, 20019}},
			{"one", &Dialer{Ports: PortRange{20077, 20077}}, "tcp4", "127.0.0.1", PortRange{20077, 20077}},
			{"with a source", &Dialer{Ports: PortRange{20010, 20019}, Sources: loopbacks(1)}, "tcp4", "127.0.0.1", PortRange{20010, 20019}},
			{"IPv6", &Dialer{Ports: PortRange{20010, 20019}}, "tcp6", "[::1]", PortRange{20010, 20019}},
			{"IPv6 with a source", &Dialer{Ports: PortRange{20010, 20019}, Sources: []netip.Addr{netip.IPv6Loopback()}}, "tcp6", "[::1]", PortRange{20010, 20019}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				// Each destination has all of it.
				for range 2 {
					srv := listen(t, tt.network, fmt.Sprintf("%s:%d", tt.host, 8000+nextPort()))
					conns, err := fill(t, tt.d, srv.AddrPort, 200)
					if len(conns) != tt.want.Len() {
						t.Errorf("%d connections, want %d", len(conns), tt.want.Len())
					}
					for _, c := range conns {
						if port := tcpAddr(c.LocalAddr()).Port(); !tt.want.Contains(port) {
							t.Fatalf("port %d is not in %v", port, tt.want)
						}
					}
					if e, ok := errors.AsType[*Error](err); !ok || e.Cause != PortsExhausted || e.Range != tt.want {
						t.Errorf("got %v", err)
					}
				}
			})
		}
		t.Run("the system's range grows", func(t *testing.T) {
			d := new(Dialer)
			srv := listen(t, "tcp4", "127.0.0.1:9000")
			if conns, _ := fill(t, d, srv.AddrPort, 200); len(conns) != 100 {
				t.Errorf("%d connections, want 100", len(conns))
			}
			if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("20000 20149"), 0); err != nil {
				t.Fatal(err)
			}
			if conns, _ := fill(t, d, srv.AddrPort, 200); len(conns) != 50 {
				t.Errorf("%d more connections, want 50", len(conns))
			}
		})
	}, netlab.PortRange(20000, 20099))
}

var lastPort int

func nextPort() int { lastPort++; return lastPort }

// TestKernelPortsOutside: what the kernel would ignore silently is an error that
// says what is right.
func TestKernelPortsOutside(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		srv := listen(t, "tcp4", "127.0.0.1:8000")
		for _, tt := range []struct {
			ports PortRange
			says  string // or it is right
		}{
			{PortRange{20000, 20099}, ""},
			{PortRange{20000, 20000}, ""},
			{PortRange{20050, 20060}, ""}, // in part reserved
			{PortRange{19999, 20099}, "20000-20099"},
			{PortRange{20000, 20100}, "20000-20099"},
			{PortRange{30000, 30010}, "ip_local_port_range"},
			{PortRange{20055, 20059}, "ip_local_reserved_ports"},
			{PortRange{20010, 20009}, "no range"},
			{PortRange{0, 20009}, "no range"},
			{PortRange{20010, 0}, "no range"},
		} {
			d := &Dialer{Ports: tt.ports}
			for i := range 2 {
				if i > 0 && tt.says == "" {
					break // the error is to stay
				}
				_, err := fill(t, d, srv.AddrPort, 1)
				fe, ok := errors.AsType[*FieldError](err)
				switch {
				case tt.says == "" && err != nil:
					t.Errorf("%v: %v", tt.ports, err)
				case tt.says != "" && (!ok || fe.Field != "Ports" || fe.Value != tt.ports || !strings.Contains(err.Error(), tt.says)):
					t.Errorf("%v: got %v, want a FieldError with %q", tt.ports, err, tt.says)
				}
			}
		}
		d := &Dialer{Ports: PortRange{20050, 20060}}
		conns, err := fill(t, d, listen(t, "tcp4", "127.0.0.1:8001").AddrPort, 200)
		if e, ok := errors.AsType[*Error](err); len(conns) != 6 || !ok || e.Reserved != 5 || e.Other != 0 {
			t.Errorf("%d connections on 6 ports, then %v", len(conns), err)
		}
	}, netlab.PortRange(20000, 20099), netlab.Sysctl("net.ipv4.ip_local_reserved_ports", "8080,20055-20059"))
}

// TestWithoutPortRange: a kernel that does not have the option connects all the
// same, and the log has one line.
func TestWithoutPortRange(t *testing.T) {
	sockopt.Portable.Store(true)
	defer sockopt.Portable.Store(false)
	netlab.Run(t, func(lab *netlab.Lab) {
		srv := listen(t, "tcp4", "127.0.0.1:8000")
		for _, ports := range []PortRange{{}, {20010, 20019}} {
			log, lines := logTo()
			d := &Dialer{Ports: ports, Sources: loopbacks(2), Logger: log}
			conns, err := fill(t, d, srv.AddrPort, 60)
			if err != nil {
				t.Errorf("after %d connections: %v", len(conns), err)
			}
			if n := strings.Count(lines.String(), "\n"); n != 1 || !strings.Contains(lines.String(), "Linux 6.") {
				t.Errorf("%d lines in the log:\n%s", n, lines)
			}
			if _, err := fill(t, &Dialer{Ports: ports}, srv.AddrPort, 1); err != nil {
				t.Errorf("without a log: %v", err)
			}
		}
	}, netlab.PortRange(20000, 20099))
}

// TestOlderKernelIsTold: one that takes the option, and makes less of it.
func TestOlderKernelIsTold(t *testing.T) {
	defer func(real func() (procfs.Version, error)) { kernel = real }(kernel)
	for version, want := range map[procfs.Version]int{
		{Major: 6, Minor: 3}: 1, {Major: 6, Minor: 7}: 1, {Major: 6, Minor: 8}: 0, {Major: 7}: 0,
	} {
		kernel = func() (procfs.Version, error) { return version, nil }
		log, lines := logTo()
		d := &Dialer{Logger: log}
		srv := listen(t, "tcp4", "127.0.0.1:0")
		if _, err := fill(t, d, srv.AddrPort, 2); err != nil {
			t.Error(err)
		}
		if n := strings.Count(lines.String(), "\n"); n != want {
			t.Errorf("%v: %d lines in the log, want %d:\n%s", version, n, want, lines)
		}
	}
}
