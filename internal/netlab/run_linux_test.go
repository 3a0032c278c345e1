package netlab

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/lastack/lastack/internal/sockdiag"
)

func TestRunIsAlone(t *testing.T) {
	Run(t, func(lab *Lab) {
		if n := processSockets(t, sockdiag.AllStates); n != 0 {
			t.Errorf("%d sockets in a new namespace", n)
		}
		if got := lab.Counters(t)["TcpActiveOpens"]; got != 0 {
			t.Errorf("%d connections were made in a new namespace", got)
		}
		dial(t, echo(t, "127.0.0.1:0"))
		if got := lab.Counters(t)["TcpActiveOpens"]; got != 1 {
			t.Errorf("%d connections, want one", got)
		}
	})
}

// Every lab has the settings that were asked for.
func TestOptions(t *testing.T) {
	Run(t, func(lab *Lab) {
		for file, want := range map[string]string{"tcp_tw_reuse": "0", "tcp_rfc1337": "1", "tcp_timestamps": "0"} {
			got, err := os.ReadFile("/proc/sys/net/ipv4/" + file)
			if err != nil || strings.TrimSpace(string(got)) != want {
				t.Errorf("%s is %q, want %s; %v", file, got, want, err)
			}
		}
		addr := echo(t, "127.0.0.1:0")
		for range 3 {
			port := dial(t, addr).LocalAddr().(*net.TCPAddr).Port
			if port < 40000 || port > 40009 {
				t.Errorf("port %d is not of the range", port)
			}
		}
	}, PortRange(40000, 40009), Sysctl("net.ipv4.tcp_timestamps", "0"))
}

// What happens in the namespace is what go test reports.
func TestRunPassesOnASkip(t *testing.T) {
	t.Run("inner", func(t *testing.T) {
		t.Cleanup(func() {
			if !t.Skipped() {
				t.Error("the test was skipped in the namespace, and not here")
			}
		})
		Run(t, func(*Lab) { t.SkipNow() })
	})
}

func TestRunHasSubtests(t *testing.T) {
	Run(t, func(lab *Lab) {
		for _, name := range []string{"a b", "a/b", "(c"} {
			t.Run(name, func(t *testing.T) {
				if len(lab.Counters(t)) == 0 {
					t.Error("no counters")
				}
			})
		}
	})
	for _, name := range []string{"a b", "(c"} {
		t.Run(name, func(t *testing.T) { Run(t, func(lab *Lab) { dial(t, echo(t, "127.0.0.1:0")) }) })
	}
}
