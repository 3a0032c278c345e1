package dialer_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/internal/netlab"
)

func init() {
	netlab.Register("leaks", leaks)
	netlab.Register("holds", holds)
}

// leaks connects to args[0] args[1] times, reads the first args[2] connections
// to their end, and closes none.
func leaks(args []string) {
	n, _ := strconv.Atoi(args[1])
	read, _ := strconv.Atoi(args[2])
	var conns []net.Conn
	silent := net.Dialer{KeepAlive: -1} // probes are answered, which is a sign of life
	for i := range n {
		c, err := silent.Dial("tcp", args[0])
		if err != nil {
			fmt.Println(err)
			return
		}
		conns = append(conns, c)
		if i < read {
			io.Copy(io.Discard, c)
		}
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin) // until the test has seen enough
	runtime.KeepAlive(conns)      // else they would be closed
}

// holds makes args[1] connections to args[0] in its own process, both ends, and
// keeps them.
func holds(args []string) {
	n, _ := strconv.Atoi(args[1])
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	var conns []net.Conn
	for range n {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			fmt.Println(err)
			return
		}
		s, err := l.Accept()
		if err != nil {
			fmt.Println(err)
			return
		}
		conns = append(conns, c, s)
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(conns) // else they would be closed
}

// startChild starts a child that says when it is ready and lasts as long as its
// input.
func startChild(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the child says %q, %v", line, err)
	}
}

// holderOf returns what the report says of a process.
func holderOf(t *testing.T, r dialer.Report, pid int) dialer.Holder {
	t.Helper()
	for _, h := range r.Holders {
		if h.PID == pid {
			return h
		}
	}
	t.Fatalf("no process %d in\n%v", pid, r)
	return dialer.Holder{}
}

// TestKernelCloseWaitLeak: connections that their server has closed and a
// program has not are that program's, by name, with what it has forgotten.
func TestKernelCloseWaitLeak(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		const n, read = 40, 15
		p := startPeer(t, "127.0.0.1:8001")
		go func() {
			for {
				c, err := p.l.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}()
		child := lab.Child(t, "leaks", p.addr.String(), strconv.Itoa(n), strconv.Itoa(read))
		startChild(t, child)
		quiet := startPeer(t, "127.0.0.1:8002")
		quiet.hold(t, 50) // of a process that leaks nothing

		var r dialer.Report
		netlab.Eventually(t, 30*time.Second, "the connections have been in CLOSE_WAIT for a while", func() bool {
			r = diagnose(t)
			return holderOf(t, r, child.Process.Pid).Stale == n
		})
		name, err := os.ReadFile("/proc/self/comm") // the child runs the same program
		if err != nil {
			t.Fatal(err)
		}
		h := r.Holders[0] // before the one with more ports
		if h.PID != child.Process.Pid || h.Name+"\n" != string(name) || h.CloseWaits != n || h.EndUnread != n-read || h.Ports != n || h.MostTo != p.addr || h.OldestSeconds < 5 || h.Sampled {
			t.Errorf("%+v", h)
		}
		var lim syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
			t.Fatal(err)
		}
		if h.Descriptors < n || h.Limit < h.Descriptors {
			t.Errorf("%d descriptors of %d", h.Descriptors, h.Limit)
		}
		if len(r.Advice) != 1 || r.Advice[0].Code != dialer.AdviceCloseWait || r.Advice[0].PID != child.Process.Pid || r.RunningOut() {
			t.Fatalf("advice %+v", r.Advice)
		}
		if a := r.Advice[0]; len(a.Remedies) != 2 || !strings.Contains(a.Remedies[0].Do, "the end of 25 of them") || !strings.Contains(a.Remedies[1].Do, "the end of 15 of them") {
			t.Errorf("remedies %+v", a.Remedies)
		}
		if h := holderOf(t, r, os.Getpid()); h.CloseWaits != 0 || h.Ports != 50 {
			t.Errorf("we are %+v", h)
		}
	})
}

// nobody is a user with no rights.
const nobody = 65534

// TestKernelUnprivileged: somebody who may not look at another user's processes
// gets all the rest, and is told.
func TestKernelUnprivileged(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		child := lab.Child(t, "holds", "127.0.0.1:8001", "30")
		startChild(t, child)
		if err := syscall.Setresuid(nobody, nobody, 0); err != nil {
			netlab.Missing(t, "another user to become ("+err.Error()+")", "run as root")
		}
		defer syscall.Setresuid(0, 0, 0)
		r, err := dialer.Diagnose(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d := to(t, r, netip.MustParseAddrPort("127.0.0.1:8001"))
		if d.Used != 30 || r.Ports.Usable != 28232 || len(r.Settings) < 5 {
			t.Errorf("%+v\n%v", d, r)
		}
		if len(r.Holders) != 1 || r.Holders[0].PID != 0 || r.Holders[0].UID != 0 || r.Holders[0].Connections != 60 || r.Holders[0].Ports != 30 {
			t.Errorf("held by %+v", r.Holders)
		}
		if len(r.Unread) != 1 || !strings.Contains(r.Unread[0].Why, "by root only") || !strings.Contains(r.String(), "Could not be read\n") {
			t.Errorf("not read: %+v", r.Unread)
		}
		if r.RunningOut() || len(r.Advice) != 0 {
			t.Errorf("what is wrong?\n%v", r)
		}
	}, netlab.PortRange(32768, 60999))
}

// TestKernelManySockets: twenty thousand, of more descriptors than are looked at
// one by one.
func TestKernelManySockets(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		conns, waits := 5000, 10000
		if testing.Short() {
			conns, waits = 2500, 1000
		}
		addr := netip.MustParseAddrPort("127.0.0.1:8001")
		child := lab.Child(t, "holds", addr.String(), strconv.Itoa(conns))
		startChild(t, child)
		p := startPeer(t, "127.0.0.1:8002")
		p.leave(t, waits)
		r := diagnose(t)
		if d := to(t, r, addr); d.Used != conns || d.Free != r.Ports.Usable-conns {
			t.Errorf("%+v", d)
		}
		if d := to(t, r, p.addr); d.TimeWaits != waits || d.Used != waits {
			t.Errorf("%+v", d)
		}
		if n := r.Sockets["established"]; n != 2*conns {
			t.Errorf("%d established, want %d", n, 2*conns)
		}
		// A sample of a thousand is right to three in a hundred.
		h := holderOf(t, r, child.Process.Pid)
		if !h.Sampled || !near(h.Connections, 2*conns) || !near(h.Ports, conns) || h.MostTo != addr || h.Descriptors < 2*conns {
			t.Errorf("held by %+v, and there are %d of each end", h, conns)
		}
		if !strings.Contains(r.String(), "about ") {
			t.Errorf("an estimate is not called one:\n%v", r)
		}
	}, netlab.PortRange(20000, 60999))
}

func near(n, want int) bool { return n > want*4/5 && n < want*6/5 }

// BenchmarkDiagnose looks at twenty thousand sockets: in TIME_WAIT, to one
// destination and to as many; and held by two processes. "go test -bench Diagnose -run ^$ ./dialer", as root.
func BenchmarkDiagnose(b *testing.B) {
	b.Run("TimeWait", func(b *testing.B) {
		netlab.Thread(b, netlab.PortRange(20000, 60999))
		startPeer(b, "127.0.0.1:8001").leave(b, 20000)
		benchmarkDiagnose(b)
	})
	b.Run("Destinations", func(b *testing.B) {
		netlab.Thread(b, netlab.PortRange(20000, 60999))
		p := startPeer(b, "0.0.0.0:8001")
		for i := range 20000 {
			p.addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), 8001)
			p.leave(b, 1)
		}
		benchmarkDiagnose(b)
	})
	b.Run("Established", func(b *testing.B) {
		lab := netlab.Thread(b, netlab.PortRange(20000, 60999))
		startChild(b, lab.Child(b, "holds", "127.0.0.1:8001", "5000"))
		startChild(b, lab.Child(b, "holds", "127.0.0.1:8002", "5000"))
		benchmarkDiagnose(b)
	})
}

// benchmarkDiagnose reports the time of the processor too, which other programs
// disturb less.
func benchmarkDiagnose(b *testing.B) {
	b.ReportAllocs()
	before := cpuTime(b)
	sockets := 0
	for b.Loop() {
		sockets = 0
		for _, n := range diagnose(b).Sockets {
			sockets += n
		}
	}
	if sockets < 20000 {
		b.Fatalf("only %d sockets", sockets)
	}
	b.ReportMetric(float64(sockets), "sockets")
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
