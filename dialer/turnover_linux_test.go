package dialer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/sockdiag"
	"github.com/lastack/lastack/metrics"
)

// greet says hello on each connection and then closes it, at once or when the
// client has, until the test is over.
func greet(t *testing.T, address string, closesFirst bool) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", address)
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
			io.WriteString(c, "hello\n")
			if closesFirst {
				c.Close()
				continue
			}
			wg.Go(func() {
				io.Copy(io.Discard, c)
				c.Close()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// TestKernelTurnover: in a range of 1,000 ports connections are made and closed
// one after the other, as fast as that goes. A stock client that has read what it
// wanted, and closes, has used up the range after 1,000. The same with a Dialer
// goes on, and leaves nothing.
func TestKernelTurnover(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		const ports = 1000
		turns := 50 * ports
		if testing.Short() || underRace {
			turns = 3 * ports
		}
		var hello [6]byte
		visit := func(d contextDialer, addr netip.AddrPort, toTheEnd bool) error {
			c, err := d.DialContext(t.Context(), "tcp", addr.String())
			if err != nil {
				return err
			}
			_, err = io.ReadFull(c, hello[:])
			if toTheEnd && err == nil {
				_, err = io.Copy(io.Discard, c)
			}
			if err != nil {
				t.Error(err)
			}
			return c.Close()
		}
		addr, made := greet(t, "127.0.0.1:8000", false), 0
		err := visit(new(net.Dialer), addr, false)
		for ; err == nil && made < turns; made++ {
			err = visit(new(net.Dialer), addr, false)
		}
		if made != ports || !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("the stock client made %d connections, then %v; want %d", made, err, ports)
		}
		t.Logf("the stock client made %d connections, then: %v", made, err)

		for _, tt := range []struct {
			name        string
			closesFirst bool
			turns       int
			port        int
		}{
			{"the peer has spoken last", false, turns, 8001},
			{"the peer closes first", true, min(turns, 5*ports), 8002},
		} {
			addr := greet(t, fmt.Sprintf("127.0.0.1:%d", tt.port), tt.closesFirst)
			m := new(metrics.Meter)
			d := &Dialer{Meter: m}
			began := time.Now()
			for i := range tt.turns {
				if err := visit(d, addr, tt.closesFirst); err != nil {
					t.Fatalf("%s: dial %d: %v", tt.name, i+1, err)
				}
			}
			t.Logf("%s: the Dialer made %d connections in %v", tt.name, tt.turns, time.Since(began).Round(time.Millisecond))
			if err := d.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			lab.Settle(t, addr, 10*time.Second)
			client, _ := lab.TimeWaits(t, addr)
			s := m.Snapshot()
			if client != 0 || s.TimeWaits != 0 || s.DialErrors != 0 || s.Born != uint64(tt.turns) {
				t.Errorf("%s: %d TIME_WAIT, we count %d; %d of %d dials failed", tt.name, client, s.TimeWaits, s.DialErrors, tt.turns)
			}
			if err := s.Balance(); err != nil {
				t.Error(err)
			}
		}
	}, netlab.PortRange(20000, 20999))
}

// The test of many destinations: each process has its own of them.
const (
	destinations     = 20
	destinationsEach = 5
	connsEach        = 1000
)

func init() { netlab.Register("fill-destinations", fillDestinations) }

// fillDestinations connects from one source address to five destinations, all of
// which it serves itself, connsEach times to each. It says so and waits for the
// end of its input.
func fillDestinations(args []string) {
	first, err := strconv.Atoi(args[0])
	if err != nil {
		panic(err)
	}
	d := &Dialer{Sources: loopbacks(1)}
	if args[1] == "unshared" {
		// What a program does that binds to the address by itself.
		d = &Dialer{Net: net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
			var err error
			c.Control(func(fd uintptr) { err = syscall.Bind(int(fd), &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 1, 1}}) })
			return err
		}}}
	}
	n, err := 0, error(nil)
	var conns []net.Conn // or they would be collected
	for i := range destinationsEach {
		l, lerr := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", 8000+first+i))
		if lerr != nil {
			panic(lerr)
		}
		for range connsEach {
			var c, accepted net.Conn
			if c, err = d.DialContext(context.Background(), "tcp", l.Addr().String()); err != nil {
				break
			}
			if accepted, err = l.Accept(); err != nil {
				break
			}
			conns = append(conns, c, accepted)
			n++
		}
	}
	fmt.Println(n, err)
	io.Copy(io.Discard, os.Stdin)
	for _, c := range conns {
		c.Close()
	}
}

// TestKernelManyDestinations: the same 1,000 ports serve 1,000 connections to
// each of 20 destinations at once, from one source address. Bound before
// connect, they serve 1,000 in all.
func TestKernelManyDestinations(t *testing.T) {
	for _, tt := range []struct {
		how  string
		want int
	}{
		{"shared", destinations * connsEach},
		{"unshared", connsEach},
	} {
		t.Run(tt.how, func(t *testing.T) {
			netlab.Run(t, func(lab *netlab.Lab) {
				total := 0
				for first := 0; first < destinations; first += destinationsEach {
					cmd := lab.Child(t, "fill-destinations", strconv.Itoa(first), tt.how)
					cmd.Stderr = os.Stderr
					hold, err := cmd.StdinPipe()
					if err != nil {
						t.Fatal(err)
					}
					defer hold.Close()
					out, err := cmd.StdoutPipe()
					if err != nil {
						t.Fatal(err)
					}
					if err := cmd.Start(); err != nil {
						t.Fatal(err)
					}
					n := 0
					if _, err := fmt.Fscan(out, &n); err != nil {
						t.Fatal(err)
					}
					total += n
				}
				if total != tt.want {
					t.Errorf("%d connections at once, want %d", total, tt.want)
				}
				established := 0
				for i := range destinations {
					at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(8000+i))
					established += lab.States(t, at).Client.By[sockdiag.Established]
				}
				if established != tt.want {
					t.Errorf("the kernel has %d, want %d", established, tt.want)
				}
			}, netlab.PortRange(20000, 20000+connsEach-1))
		})
	}
}
