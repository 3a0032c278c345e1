package netlab

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// childEnv marks a process that Child has started, and says what it is to do.
const childEnv = "LASTACK_NETLAB_CHILD"

var (
	children   = map[string]func(args []string){}
	mainCalled bool
)

// Register gives a name to what a process that [Lab.Child] starts does. It is
// called before Main, from an init function or from TestMain.
func Register(name string, f func(args []string)) { children[name] = f }

// Main takes the place of m.Run in the TestMain of a package that uses
// [Lab.Child]:
//
//	func TestMain(m *testing.M) { netlab.Main(m) }
func Main(m *testing.M) {
	mainCalled = true
	name := os.Getenv(childEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	f, ok := children[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "netlab: no child %q is registered\n", name)
		os.Exit(2)
	}
	f(os.Args[1:])
	os.Exit(0)
}

// Child returns a command, not yet started, that runs the registered function
// in a process of its own in the same namespace: a client that exits, or that
// is killed. It does not outlive the test.
func (*Lab) Child(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	if !mainCalled {
		t.Fatal("netlab: Child needs a TestMain that calls netlab.Main")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatalf("netlab: %v", err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	dieWithParent(cmd)
	t.Cleanup(func() { end(cmd) })
	return cmd
}

// end kills the process if it still runs, by its own handle, and collects it.
func end(cmd *exec.Cmd) {
	if cmd.Process != nil && cmd.ProcessState == nil {
		cmd.Process.Kill()
		cmd.Wait()
	}
}
