package dialer_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/internal/netlab"
)

// A peer accepts connections and holds them.
type peer struct {
	l    net.Listener
	addr netip.AddrPort
}

// startPeer listens below the range of the test, so that no port of it is taken.
func startPeer(t testing.TB, address string) *peer {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &peer{l, l.Addr().(*net.TCPAddr).AddrPort()}
}

// connect makes a connection and returns both of its ends.
func (p *peer) connect(t testing.TB) (here, there *net.TCPConn) {
	t.Helper()
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(p.addr))
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c, s.(*net.TCPConn)
}

// hold makes n connections that last as long as the test.
func (p *peer) hold(t testing.TB, n int) {
	t.Helper()
	for range n {
		here, there := p.connect(t)
		t.Cleanup(func() { here.Close(); there.Close() })
	}
}

// leave leaves n TIME_WAITs on the side that connects.
func (p *peer) leave(t testing.TB, n int) {
	t.Helper()
	var b [1]byte
	for range n {
		here, there := p.connect(t)
		here.CloseWrite()
		there.Read(b[:]) // our FIN, so that the peer's is second
		there.Close()
		here.Close()
	}
}

func diagnose(t testing.TB) dialer.Report {
	t.Helper()
	r, err := dialer.Diagnose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Unread) != 0 {
		t.Errorf("root could not read %v", r.Unread)
	}
	return r
}

// to returns what the report says of the destination.
func to(t *testing.T, r dialer.Report, addr netip.AddrPort) dialer.Destination {
	t.Helper()
	i := slices.IndexFunc(r.Destinations, func(d dialer.Destination) bool { return d.Address == addr })
	if i < 0 {
		t.Fatalf("no %v among the destinations\n%v", addr, r)
	}
	return r.Destinations[i]
}

// TestKernelNearlyExhausted: the destination that is about to run out is named
// first, with when its TIME_WAITs end, while a busier one that is not is well.
func TestKernelNearlyExhausted(t *testing.T) {
	for _, tt := range []struct{ name, tight, well string }{
		{"IPv4", "127.0.0.1:8001", "127.0.0.1:8002"},
		{"IPv6", "[::1]:8001", "[::1]:8002"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			netlab.Run(t, func(*netlab.Lab) {
				tight, well := startPeer(t, tt.tight), startPeer(t, tt.well)
				tight.leave(t, 300)
				tight.hold(t, 20)
				well.hold(t, 150)
				r := diagnose(t)
				if !r.RunningOut() || len(r.Advice) == 0 {
					t.Fatalf("nothing is running out\n%v", r)
				}
				a := r.Advice[0]
				if a.Code != dialer.AdvicePorts || !a.Urgent || a.Destination != tight.addr || a.Source != tight.addr.Addr() {
					t.Errorf("the first advice is %+v", a)
				}
				if len(a.Remedies) < 3 || !strings.Contains(a.Remedies[0].Do, "pool.Transport") || !strings.Contains(a.Remedies[0].Gain, "300 ports") {
					t.Errorf("the first remedy does not end the cause: %+v", a.Remedies)
				}
				d := r.Destinations[0]
				if d.Address != tight.addr || d.Used != 320 || d.TimeWaits != 300 || d.Free != 30 || d.Left() != 30 || d.States["established"] != 20 || d.States["time_wait"] != 300 {
					t.Errorf("the tight one is %+v", d)
				}
				if d.NextFreeSeconds <= 0 || d.HalfFreeSeconds < d.NextFreeSeconds || d.AllFreeSeconds < d.HalfFreeSeconds || d.AllFreeSeconds > 60 {
					t.Errorf("its TIME_WAITs end in %v, %v, %v s", d.NextFreeSeconds, d.HalfFreeSeconds, d.AllFreeSeconds)
				}
				if d := to(t, r, well.addr); d.Used != 150 || d.Free != 200 || d.TimeWaits != 0 || d.OutInSeconds != -1 {
					t.Errorf("the other is %+v", d)
				}
				for _, want := range []string{"RUNNING OUT", "30 of 350 ports are left for connections to " + tight.addr.String(), "300 are in TIME_WAIT"} {
					if !strings.Contains(r.String(), want) {
						t.Errorf("no %q in\n%v", want, r)
					}
				}
			}, netlab.PortRange(40000, 40349))
		})
	}
}

// TestKernelBudget: the kernel gives exactly as many ports as the report says
// are left, without those that are reserved and those that are listened on.
func TestKernelBudget(t *testing.T) {
	netlab.Run(t, func(*netlab.Lab) {
		p := startPeer(t, "127.0.0.1:8001")
		startPeer(t, "127.0.0.1:40299") // in the range
		p.hold(t, 1)
		r := diagnose(t)
		if b := r.Ports; b.Lo != 40000 || b.Hi != 40299 || b.Reserved != 51 || b.Listening != 1 || b.Usable != 248 {
			t.Fatalf("the budget is %+v", b)
		}
		left := to(t, r, p.addr).Left()
		n := 0
		for ; n <= 300; n++ {
			c, err := net.Dial("tcp", p.addr.String())
			if errors.Is(err, syscall.EADDRNOTAVAIL) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			s, err := p.l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
		}
		if n != left || left != 247 {
			t.Errorf("the kernel gave %d more ports, the report said %d", n, left)
		}
		r = diagnose(t)
		if d := to(t, r, p.addr); d.Left() != 0 || d.OutInSeconds != 0 || !r.RunningOut() {
			t.Errorf("when no port is left: %+v", d)
		}
		for i, remedy := range r.Advice[0].Remedies {
			if strings.Contains(remedy.Do, "TIME_WAIT") || i == 0 && !strings.Contains(remedy.Do, "HTTP/2") {
				t.Errorf("nothing is in TIME_WAIT, but remedy %d is %+v", i, remedy)
			}
		}
	}, netlab.PortRange(40000, 40299), netlab.Sysctl("net.ipv4.ip_local_reserved_ports", "8080,40000-40049,40100"))
}

// TestKernelBudgetBesideFixedPorts: what is on reserved ports takes none of
// those away that the kernel may choose from.
func TestKernelBudgetBesideFixedPorts(t *testing.T) {
	netlab.Run(t, func(*netlab.Lab) {
		p := startPeer(t, "127.0.0.1:8001")
		fixed := &dialer.Dialer{FixedPorts: dialer.PortRange{Lo: 40000, Hi: 40089}}
		for range 90 {
			c, err := fixed.DialContext(t.Context(), "tcp", p.addr.String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		p.hold(t, 2)
		r := diagnose(t)
		if d := to(t, r, p.addr); r.Ports.Usable != 10 || d.Used != 2 || d.Left() != 8 || r.RunningOut() || len(r.Advice) != 0 {
			t.Errorf("%+v\n%v", d, r)
		}
		p.hold(t, 8)
		if d := to(t, diagnose(t), p.addr); d.Left() != 0 {
			t.Errorf("when all are taken: %+v", d)
		}
	}, netlab.PortRange(40000, 40099), netlab.Sysctl("net.ipv4.ip_local_reserved_ports", "40000-40089"))
}

// TestKernelBoundPorts: ports that were bound before connect serve nobody else,
// though no destination has many of them. Shared by connect, they serve all.
func TestKernelBoundPorts(t *testing.T) {
	// connect makes n connections in turn to four peers.
	connect := func(t *testing.T, d *net.Dialer, n int) {
		var peers []*peer
		for i := range 4 {
			peers = append(peers, startPeer(t, "127.0.0.1:"+strconv.Itoa(8001+i)))
		}
		for i := range n {
			c, err := d.Dial("tcp", peers[i%4].addr.String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
		}
	}
	t.Run("bound", func(t *testing.T) {
		netlab.Run(t, func(*netlab.Lab) {
			connect(t, &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}, 95)
			r := diagnose(t)
			if len(r.Advice) != 1 || r.Advice[0].Code != dialer.AdviceBoundPorts || r.Advice[0].Source != netip.MustParseAddr("127.0.0.1") || !r.RunningOut() {
				t.Errorf("%v", r)
			}
			fifth := startPeer(t, "127.0.0.1:8005")
			fifth.hold(t, 5)
			if _, err := net.Dial("tcp", fifth.addr.String()); !errors.Is(err, syscall.EADDRNOTAVAIL) {
				t.Errorf("one that is not bound: %v", err)
			}
		}, netlab.PortRange(40000, 40099))
	})
	t.Run("shared", func(t *testing.T) {
		netlab.Run(t, func(*netlab.Lab) {
			connect(t, new(net.Dialer), 95)
			if r := diagnose(t); r.RunningOut() || len(r.Advice) != 0 {
				t.Errorf("what is wrong?\n%v", r)
			}
		}, netlab.PortRange(40000, 40099))
	})
}

// TestKernelReuse: where the kernel lends ports in TIME_WAIT again, they count
// as left, and it does lend them.
func TestKernelReuse(t *testing.T) {
	netlab.Run(t, func(*netlab.Lab) {
		p := startPeer(t, "127.0.0.1:8001")
		p.leave(t, 100)
		var d dialer.Destination
		netlab.Eventually(t, 20*time.Second, "the TIME_WAITs are older than a second", func() bool {
			d = to(t, diagnose(t), p.addr)
			return d.Reusable == 100
		})
		if d.Free != 0 || d.Left() != 100 || d.OutInSeconds != -1 {
			t.Errorf("%+v", d)
		}
		if r := diagnose(t); r.RunningOut() {
			t.Errorf("all ports can be lent again, but\n%v", r)
		} else if len(r.Advice) != 1 || !strings.Contains(r.Advice[0].Matter, "0 are free; 100 in TIME_WAIT are lent again, but only if") {
			t.Errorf("nothing is said of timestamps: %+v", r.Advice)
		}
		p.hold(t, 100)
		if d := to(t, diagnose(t), p.addr); d.Left() != 0 || d.TimeWaits != 0 {
			t.Errorf("when all have been lent: %+v", d)
		}
	}, netlab.PortRange(40000, 40099), netlab.Sysctl("net.ipv4.tcp_tw_reuse", "1"))
}

// TestKernelHealthy: few connections, calm words.
func TestKernelHealthy(t *testing.T) {
	netlab.Run(t, func(*netlab.Lab) {
		p := startPeer(t, "127.0.0.1:8001")
		p.hold(t, 10)
		p.leave(t, 10)
		r := diagnose(t)
		if r.RunningOut() || len(r.Advice) != 0 {
			t.Errorf("what is wrong?\n%v", r)
		}
		if !strings.HasPrefix(r.String(), "All is well: nothing is about to run out.\n") {
			t.Errorf("not calm:\n%v", r)
		}
		if len(r.Holders) != 1 || r.Holders[0].PID != os.Getpid() || r.Holders[0].Ports != 10 || r.Holders[0].Connections != 20 || r.Holders[0].MostTo != p.addr {
			t.Errorf("held by %+v, and we are process %d", r.Holders, os.Getpid())
		}
		if r.Sockets["listen"] != 1 || r.Sockets["established"] != 20 || r.Sockets["time_wait"] != 10 {
			t.Errorf("sockets %v", r.Sockets)
		}
		values := map[string]string{}
		for _, s := range append(r.Settings, r.Counters...) {
			if values[s.Name] = s.Value; s.Meaning == "" {
				t.Errorf("%s = %s has no meaning", s.Name, s.Value)
			}
		}
		if values["net.ipv4.tcp_tw_reuse"] != "0" || values["net.ipv4.ip_local_port_range"] != "32768 60999" || values["TcpExtTW"] != "10" {
			t.Errorf("settings %v", values)
		}
	}, netlab.PortRange(32768, 60999))
}

// TestKernelNothingReadable: what cannot be read is said, and nothing is claimed
// of it.
func TestKernelNothingReadable(t *testing.T) {
	netlab.Run(t, func(*netlab.Lab) {
		var lim syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: lim.Max}); err != nil {
			t.Fatal(err)
		}
		r, err := dialer.Diagnose(t.Context())
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(err, syscall.EMFILE) {
			t.Errorf("got %v, want EMFILE", err)
		}
		if len(r.Unread) < 5 || len(r.Advice) != 0 || r.RunningOut() || !strings.HasPrefix(r.String(), "Whether something is running out cannot be said") {
			t.Errorf("%v", r)
		}
	})
}

// TestKernelDiagnoseEnds: with its context, and twice at once.
func TestKernelDiagnoseEnds(t *testing.T) {
	netlab.Run(t, func(*netlab.Lab) {
		check := netlab.Leaks(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("no more")
		cancel(why)
		if _, err := dialer.Diagnose(ctx); !errors.Is(err, why) {
			t.Errorf("got %v, want the context's cause", err)
		}
		done := make(chan error, 4)
		for range cap(done) {
			go func() {
				_, err := dialer.Diagnose(t.Context())
				done <- err
			}()
		}
		for range cap(done) {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		check()
	})
}
