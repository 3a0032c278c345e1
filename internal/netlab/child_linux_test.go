package netlab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/lastack/lastack/internal/sockdiag"
)

func TestMain(m *testing.M) {
	Register("print", func(args []string) { fmt.Print(strings.Join(args, " ")) })
	Register("exit", func([]string) { os.Exit(3) })
	Register("connect", func(args []string) {
		if _, err := net.Dial("tcp", args[0]); err != nil {
			panic(err)
		}
		fmt.Println("connected")
		select {}
	})
	Main(m)
}

func TestChild(t *testing.T) {
	Run(t, func(lab *Lab) {
		if out, err := lab.Child(t, "print", "a", "b c").Output(); err != nil || string(out) != "a b c" {
			t.Errorf("it printed %q, %v", out, err)
		}
		for name, want := range map[string]int{"exit": 3, "not registered": 2} {
			err := lab.Child(t, name).Run()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != want {
				t.Errorf("%s: %v, want exit status %d", name, err, want)
			}
		}
	})
}

// A child is in the test's namespace: its sockets are seen there, also when it
// is killed.
func TestChildKilled(t *testing.T) {
	Run(t, func(lab *Lab) {
		addr := echo(t, "127.0.0.1:0")
		cmd := connectingChild(t, t, lab, addr.String())
		if n := lab.States(t, addr).Client.By[sockdiag.Established]; n != 1 {
			t.Errorf("%d connections, want the child's", n)
		}
		cmd.Process.Signal(syscall.SIGKILL)
		cmd.Wait()
		Eventually(t, settle, "the killed child's TIME_WAIT", func() bool {
			client, _ := lab.TimeWaits(t, addr)
			return client == 1
		})
	})
}

// A child that nobody waits for ends with its test.
func TestChildEndsWithTheTest(t *testing.T) {
	Run(t, func(lab *Lab) {
		addr := echo(t, "127.0.0.1:0")
		var cmd *exec.Cmd
		t.Run("start it", func(inner *testing.T) { cmd = connectingChild(t, inner, lab, addr.String()) })
		if cmd.ProcessState == nil || cmd.ProcessState.Success() {
			t.Errorf("it was not killed: %v", cmd.ProcessState)
		}
	})
}

// connectingChild starts a child of the test inner and returns when it has
// connected.
func connectingChild(t, inner *testing.T, lab *Lab, addr string) *exec.Cmd {
	t.Helper()
	cmd := lab.Child(inner, "connect", addr)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stdout.Read(make([]byte, 10)) // it has connected
	return cmd
}
