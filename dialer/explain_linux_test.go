package dialer

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/sockdiag"
	"github.com/lastack/lastack/internal/sockopt"
)

// reuseAddr is a Control that lets ports be bound by several sockets.
func reuseAddr(_, _ string, c syscall.RawConn) error {
	var serr error
	err := c.Control(func(fd uintptr) { serr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
	return errors.Join(err, serr)
}

func from(address string) net.Addr {
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		panic(err)
	}
	return a
}

// TestKernelEveryCause: each way in which the kernel says that an address
// cannot be assigned, or is in use, is provoked and called by its name. What
// the net package said is still there.
func TestKernelEveryCause(t *testing.T) {
	const ports = 40
	for _, tt := range []struct {
		name string
		// provoke returns the error of a dial.
		provoke func(t *testing.T, lab *netlab.Lab) error
		call    string // that has failed
		errno   syscall.Errno
		cause   Cause
		states  string // as Error.States prints
		other   int
		says    string
	}{
		{
			name: "every port has a connection",
			provoke: func(t *testing.T, _ *netlab.Lab) error {
				_, err := fill(t, new(Dialer), listen(t, "tcp4", "127.0.0.1:8001").AddrPort, ports+1)
				return err
			},
			call: "connect", errno: syscall.EADDRNOTAVAIL, cause: PortsExhausted,
			states: "map[established:40]", says: "in use",
		},
		{
			name: "every port is in TIME_WAIT",
			provoke: func(t *testing.T, lab *netlab.Lab) error {
				srv := listen(t, "tcp4", "127.0.0.1:8002")
				conns, err := fill(t, new(net.Dialer), srv.AddrPort, ports)
				if err != nil {
					return err
				}
				for _, c := range conns {
					c.Close()
				}
				srv.awaitAndClose(t, ports)
				lab.Settle(t, srv.AddrPort, 10*time.Second)
				_, err = fill(t, new(Dialer), srv.AddrPort, 1)
				return err
			},
			call: "connect", errno: syscall.EADDRNOTAVAIL, cause: PortsExhausted,
			states: "map[time_wait:40]", says: "TIME_WAIT",
		},
		{
			name: "the program does not close",
			provoke: func(t *testing.T, lab *netlab.Lab) error {
				srv := listen(t, "tcp4", "127.0.0.1:8003")
				if _, err := fill(t, new(Dialer), srv.AddrPort, ports); err != nil {
					return err
				}
				srv.awaitAndClose(t, ports)
				netlab.Eventually(t, 10*time.Second, "CLOSE_WAIT", func() bool {
					return lab.States(t, srv.AddrPort).Client.By[sockdiag.CloseWait] == ports
				})
				_, err := fill(t, new(Dialer), srv.AddrPort, 1)
				return err
			},
			call: "connect", errno: syscall.EADDRNOTAVAIL, cause: PortsExhausted,
			states: "map[close_wait:40]", says: "leak",
		},
		{
			name: "the ports are bound by number",
			provoke: func(t *testing.T, _ *netlab.Lab) error {
				for port := range ports {
					listen(t, "tcp4", fmt.Sprintf("127.0.0.9:%d", 20000+port))
				}
				_, err := fill(t, new(Dialer), listen(t, "tcp4", "127.0.0.1:8004").AddrPort, 1)
				return err
			},
			call: "connect", errno: syscall.EADDRNOTAVAIL, cause: PortsExhausted,
			states: "map[]", other: ports, says: "ip_local_reserved_ports",
		},
		{
			name: "the source has no port left, whatever the destination",
			provoke: func(t *testing.T, _ *netlab.Lab) error {
				// As on a system without IP_BIND_ADDRESS_NO_PORT.
				sockopt.Portable.Store(true)
				defer sockopt.Portable.Store(false)
				d := &Dialer{Net: net.Dialer{LocalAddr: from("127.0.0.1:0")}}
				srv := listen(t, "tcp4", "127.0.0.1:8005")
				if _, err := fill(t, d, srv.AddrPort, ports); err != nil {
					return err
				}
				_, err := fill(t, d, listen(t, "tcp4", "127.0.0.1:8006").AddrPort, 1)
				return err
			},
			call: "bind", errno: syscall.EADDRINUSE, cause: SourceExhausted,
			states: "map[established:40]", says: "IP_BIND_ADDRESS_NO_PORT",
		},
		{
			name: "the source is not of this host",
			provoke: func(t *testing.T, _ *netlab.Lab) error {
				d := &Dialer{Net: net.Dialer{LocalAddr: from("192.0.2.1:0")}}
				_, err := fill(t, d, listen(t, "tcp4", "127.0.0.1:8007").AddrPort, 1)
				return err
			},
			call: "bind", errno: syscall.EADDRNOTAVAIL, cause: SourceNotLocal,
			states: "map[]", says: "192.0.2.1",
		},
		{
			name: "no address of the family",
			provoke: func(t *testing.T, _ *netlab.Lab) error {
				c, err := new(Dialer).DialContext(t.Context(), "tcp", "[::1]:8008")
				if err == nil {
					c.Close()
				}
				return err
			},
			call: "connect", errno: syscall.EADDRNOTAVAIL, cause: NoSource,
			states: "map[]", says: "disable_ipv6",
		},
		{
			name: "no route",
			provoke: func(t *testing.T, _ *netlab.Lab) error {
				c, err := new(Dialer).DialContext(t.Context(), "tcp", "192.0.2.1:8008")
				if err == nil {
					c.Close()
				}
				return err
			},
			call: "connect", errno: syscall.ENETUNREACH, cause: NoRoute,
			states: "map[]", says: "route",
		},
		{
			name: "a listener has the port",
			provoke: func(t *testing.T, _ *netlab.Lab) error {
				srv := listen(t, "tcp4", "127.0.0.1:8009")
				d := &Dialer{Net: net.Dialer{LocalAddr: from("127.0.0.1:8009"), Control: reuseAddr}}
				_, err := fill(t, d, srv.AddrPort, 1)
				return err
			},
			call: "bind", errno: syscall.EADDRINUSE, cause: PortInUse,
			states: "map[listen:1]", says: "127.0.0.1:8009",
		},
		{
			name: "a connection does not share the port",
			provoke: func(t *testing.T, _ *netlab.Lab) error {
				d := &Dialer{Net: net.Dialer{LocalAddr: from("127.0.0.1:9010")}}
				_, err := fill(t, d, listen(t, "tcp4", "127.0.0.1:8010").AddrPort, 2)
				return err
			},
			call: "bind", errno: syscall.EADDRINUSE, cause: PortInUse,
			states: "map[established:1]", says: "127.0.0.1:9010",
		},
		{
			name: "a TIME_WAIT does not share the port",
			provoke: func(t *testing.T, lab *netlab.Lab) error {
				srv := listen(t, "tcp4", "127.0.0.1:8014")
				nd := net.Dialer{LocalAddr: from("127.0.0.1:9014")}
				conns, err := fill(t, &nd, srv.AddrPort, 1)
				if err != nil {
					return err
				}
				conns[0].Close()
				srv.awaitAndClose(t, 1)
				lab.Settle(t, srv.AddrPort, 10*time.Second)
				_, err = fill(t, &Dialer{Net: nd}, srv.AddrPort, 1)
				return err
			},
			call: "bind", errno: syscall.EADDRINUSE, cause: PortInUse,
			states: "map[time_wait:1]", says: "SO_REUSEADDR",
		},
		{
			name: "there is that connection",
			provoke: func(t *testing.T, _ *netlab.Lab) error {
				d := &Dialer{Net: net.Dialer{LocalAddr: from("127.0.0.1:9011"), Control: reuseAddr}}
				_, err := fill(t, d, listen(t, "tcp4", "127.0.0.1:8011").AddrPort, 2)
				return err
			},
			call: "connect", errno: syscall.EADDRNOTAVAIL, cause: ConnectionExists,
			states: "map[established:1]", says: "127.0.0.1:9011",
		},
		{
			name: "there is that connection, from any address",
			provoke: func(t *testing.T, _ *netlab.Lab) error {
				d := &Dialer{Net: net.Dialer{LocalAddr: from(":9012"), Control: reuseAddr}}
				_, err := fill(t, d, listen(t, "tcp4", "127.0.0.1:8012").AddrPort, 2)
				return err
			},
			call: "connect", errno: syscall.EADDRNOTAVAIL, cause: ConnectionExists,
			states: "map[established:1]", says: "9012",
		},
		{
			name: "that connection is in TIME_WAIT, without timestamps",
			provoke: func(t *testing.T, lab *netlab.Lab) error {
				srv := listen(t, "tcp4", "127.0.0.1:8013")
				nd := net.Dialer{LocalAddr: from("127.0.0.1:9013"), Control: reuseAddr}
				conns, err := fill(t, &nd, srv.AddrPort, 1)
				if err != nil {
					return err
				}
				conns[0].Close()
				srv.awaitAndClose(t, 1)
				lab.Settle(t, srv.AddrPort, 10*time.Second)
				_, err = fill(t, &Dialer{Net: nd}, srv.AddrPort, 1)
				return err
			},
			call: "connect", errno: syscall.EADDRNOTAVAIL, cause: ConnectionInTimeWait,
			states: "map[time_wait:1]", says: "tcp_timestamps",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			netlab.Run(t, func(lab *netlab.Lab) {
				err := tt.provoke(t, lab)
				t.Log(err)
				e, ok := errors.AsType[*Error](err)
				if !ok {
					t.Fatalf("got %T: %v", err, err)
				}
				if e.Cause != tt.cause || fmt.Sprint(e.States) != tt.states || e.Other != tt.other || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("got %v, %v, other %d; want %v, %v, other %d, and %q", e.Cause, e.States, e.Other, tt.cause, tt.states, tt.other, tt.says)
				}
				sys, ok := errors.AsType[*os.SyscallError](err)
				if !ok || sys.Syscall != tt.call || sys.Err != tt.errno || !errors.Is(err, tt.errno) {
					t.Errorf("got %v, want %s: %v", sys, tt.call, tt.errno)
				}
				if op, ok := errors.AsType[*net.OpError](err); !ok || op.Timeout() != e.Timeout() || op.Temporary() != e.Temporary() {
					t.Error("the net.OpError is lost")
				}
				exhausted := tt.cause == PortsExhausted || tt.cause == SourceExhausted
				if errors.Is(err, ErrPortsExhausted) != exhausted || exhausted && !errors.Is(err, syscall.EADDRNOTAVAIL) {
					t.Errorf("is ErrPortsExhausted: %v", !exhausted)
				}
				if exhausted && (e.Range != PortRange{20000, 20000 + ports - 1} || len(e.Sources) != 1 || len(e.Settings) == 0) {
					t.Errorf("range %v, sources %v, settings %v", e.Range, e.Sources, e.Settings)
				}
			},
				netlab.PortRange(20000, 20000+ports-1),
				netlab.Sysctl("net.ipv4.tcp_timestamps", "0"),
				netlab.Sysctl("net.ipv6.conf.lo.disable_ipv6", "1"))
		})
	}
}
