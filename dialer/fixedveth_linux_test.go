package dialer

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lastack/lastack/internal/netlab"
)

func init() { netlab.Register("greet-far", greetFar) }

// greetFar is a server at the other end of a cable, which is plugged in when its
// input says so.
func greetFar(args []string) {
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return
	}
	for _, address := range args {
		if out, err := ipDo("address", "add", address, "dev", "far", "nodad"); err != nil {
			fmt.Println(out, err)
			return
		}
	}
	if out, err := ipDo("link", "set", "far", "up"); err != nil {
		fmt.Println(out, err)
		return
	}
	for _, address := range args {
		host, _, _ := strings.Cut(address, "/")
		l, err := net.Listen("tcp", net.JoinHostPort(host, "8000"))
		if err != nil {
			fmt.Println(err)
			return
		}
		go greetAll(l)
	}
	fmt.Println("listening")
	io.Copy(io.Discard, in)
}

func greetAll(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			io.WriteString(c, "hello\n")
			io.Copy(io.Discard, c)
			c.Close()
		}()
	}
}

func ipDo(args ...string) (string, error) {
	out, err := exec.Command("ip", args...).CombinedOutput()
	return string(out), err
}

// TestKernelFixedPortsFar: between two hosts, where the kernel makes no exception
// for loopback, and whose server keeps what it knows for itself.
func TestKernelFixedPortsFar(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		if _, err := exec.LookPath("ip"); err != nil {
			netlab.Missing(t, "ip", "apt-get install iproute2")
		}
		cmd := lab.Child(t, "greet-far", "10.77.0.2/24", "fd77::2/64")
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWNET
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for _, args := range []string{
			"link add near type veth peer name far netns " + strconv.Itoa(cmd.Process.Pid),
			"address add 10.77.0.1/24 dev near",
			"address add fd77::1/64 dev near nodad",
			"link set near up",
		} {
			if out, err := ipDo(strings.Fields(args)...); err != nil {
				t.Fatalf("ip %s: %v\n%s", args, err, out)
			}
		}
		fmt.Fprintln(in, "it is plugged in")
		if said, err := bufio.NewReader(out).ReadString('\n'); said != "listening\n" {
			t.Fatalf("the server: %q, %v", said, err)
		}
		d := &Dialer{FixedPorts: PortRange{10000, 10003}, Linger: plain()}
		before := lab.Counters(t)
		const rounds = 3
		var wg sync.WaitGroup
		for _, to := range []string{"10.77.0.2:8000", "[fd77::2]:8000"} {
			wg.Go(func() {
				for i := range 4 * rounds {
					c, err := d.DialContext(t.Context(), "tcp", to)
					if err != nil {
						t.Errorf("dial %d: %v", i, err)
						return
					}
					hearAndClose(t, c)
				}
			})
		}
		wg.Wait()
		if err := d.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		c := lab.Counters(t).Since(before)
		t.Log(c)
		if c["TcpExtTWRecycled"] != 2*4*(rounds-1) || c["TcpOutRsts"] != 0 {
			t.Errorf("got %v", c)
		}
	}, fixedLab)
}
