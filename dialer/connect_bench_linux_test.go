package dialer

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lastack/lastack/linger"
)

// BenchmarkConnect: what a dial costs (its thread's time on a processor, without
// the end of the connection) when few of 16,000 local ports are taken for its destination, and
// when most of them are, by the net package's Dialer and by ours. Each is
// measured among ports that were taken in its own way. With -benchtime=1x there
// are a tenth of the ports, which shows that it runs and nothing else.
//
// For net's the kernel looks at all ports of one parity before it looks at the
// others.
func BenchmarkConnect(b *testing.B) {
	ports := 16000
	if flag.Lookup("test.benchtime").Value.String() == "1x" {
		ports = 1600
	}
	for _, tt := range []struct {
		name string
		d    contextDialer
	}{
		{"net", &net.Dialer{}},
		{"dialer", &Dialer{}},
	} {
		bench := newConnectBench(b, tt.d, ports)
		var atFew float64
		for _, percent := range []int{5, 45, 55, 95} {
			b.Run(fmt.Sprintf("%s/%d%%", tt.name, percent), func(b *testing.B) {
				took, err := bench.run(b, ports*percent/100)
				if err != nil {
					b.Fatal(err)
				}
				each := float64(took) / float64(b.N)
				if percent == 5 {
					atFew = each
				}
				b.ReportMetric(each, "cpu-ns/dial")
				b.ReportMetric(each/atFew, "times-5%")
			})
		}
		bench.end()
	}
}

// A connectBench has a network namespace of its own, which is that of one
// thread.
type connectBench struct {
	d     contextDialer
	calls chan func()
	wg    sync.WaitGroup
	l     net.Listener
	to    string
	taken []net.Conn
}

func newConnectBench(b *testing.B, d contextDialer, ports int) *connectBench {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil || files.Cur < uint64(ports)+1000 {
		b.Skip("too few descriptors are allowed")
	}
	c := &connectBench{d: d, calls: make(chan func())}
	c.wg.Go(func() {
		runtime.LockOSThread() // and the thread ends with the goroutine
		for call := range c.calls {
			call()
		}
	})
	var err error
	c.do(func() { err = c.setUp(ports) })
	if err != nil {
		c.end()
		b.Skip("no network namespace: ", err)
	}
	return c
}

// do calls f in the namespace.
func (c *connectBench) do(f func()) {
	done := make(chan struct{})
	c.calls <- func() { f(); close(done) }
	<-done
}

func (c *connectBench) setUp(ports int) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return err
	}
	r := fmt.Sprintf("40000 %d", 40000+ports-1)
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte(r), 0); err != nil {
		return err
	}
	if c.l, err = net.Listen("tcp4", "127.0.0.1:8000"); err != nil {
		return err
	}
	c.to = c.l.Addr().String()
	// The server hangs up on each, so that it has no descriptors: connections
	// take their ports in CLOSE_WAIT as well.
	c.wg.Go(func() {
		for {
			conn, err := c.l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	})
	return nil
}

// threadTime returns how much time on a processor the thread has had. The kernel
// looks for a port in it, and what else the machine does is not in it.
func threadTime() time.Duration {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}

// run dials b.N times when that many ports are taken, and returns how long the
// thread was busy with that.
func (c *connectBench) run(b *testing.B, taken int) (took time.Duration, err error) {
	c.do(func() {
		for len(c.taken) < taken && err == nil {
			var conn net.Conn
			if conn, err = c.d.DialContext(b.Context(), "tcp", c.to); err == nil {
				c.taken = append(c.taken, conn)
			}
		}
		b.ResetTimer()
		for range b.N {
			if err != nil {
				return
			}
			var conn net.Conn
			began := threadTime()
			conn, err = c.d.DialContext(b.Context(), "tcp", c.to)
			took += threadTime() - began
			if err == nil {
				reset(conn)
			}
		}
		b.StopTimer()
	})
	return took, err
}

func (c *connectBench) end() {
	if c.l != nil {
		c.l.Close()
	}
	for _, conn := range c.taken {
		reset(conn)
	}
	close(c.calls)
	c.wg.Wait()
	if d, ok := c.d.(*Dialer); ok {
		d.Shutdown(context.Background())
	}
}

// reset ends a connection so that its port is free at once.
func reset(c net.Conn) {
	if c, ok := c.(*linger.Conn); ok {
		c.Tell(linger.Broken)
		c.Close()
		return
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}
