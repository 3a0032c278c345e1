package netlab

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

const namespacesHow = "run as root, or allow user namespaces (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns)"

// supervise runs the test again in a new namespace and passes on how it went.
func supervise(t *testing.T) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatalf("netlab: %v", err)
	}
	verdict := filepath.Join(t.TempDir(), "verdict")
	out := &passOn{to: t.Output()}
	cmd := exec.Command(exe, testArgs(t)...)
	// Under the race detector a process would wait a second at its end, and a
	// test of ours is a process. Who sets GORACE wins.
	cmd.Env = append(os.Environ(), verdictEnv+"="+verdict, "GORACE=atexit_sleep_ms=20 "+os.Getenv("GORACE"))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = newNamespace()
	if err := cmd.Start(); err != nil {
		Missing(t, "a new network namespace ("+err.Error()+")", namespacesHow)
	}
	err = cmd.Wait()
	out.flush()

	said, _ := os.ReadFile(verdict)
	switch {
	case err == nil && string(said) == verdictPass:
	case err == nil && string(said) == verdictSkip:
		t.SkipNow() // the line above says why
	case err == nil && len(said) == 0:
		t.Fatalf("netlab: the process in the namespace did not come to the end of %s", t.Name())
	case err == nil:
		t.FailNow()
	default:
		t.Fatalf("netlab: the process in the namespace: %v", err)
	}
}

// newNamespace has the kernel make the namespaces when the process starts. Who
// is not root becomes root in a user namespace, which may then do with the
// network namespace what it likes.
func newNamespace() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL, // nothing outlives go test
	}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return attr
}
