package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// sysctls make the count of TIME_WAITs exact: none is recycled for a new
// connection (which loopback does by default), and none is killed by a late
// reset (RFC 1337).
var sysctls = []struct{ path, value string }{
	{"/proc/sys/net/ipv4/tcp_tw_reuse", "0"},
	{"/proc/sys/net/ipv4/tcp_rfc1337", "1"},
}

// readyFD is where the process in the namespace says how it got on there: with
// an empty message if well.
const readyFD = 3

// runNamespaced runs the command in a process in a network namespace of its own
// and returns its exit code, or why that is not possible here.
func runNamespaced(args []string) (int, error) {
	// The kernel kills the process when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	cmd, err := startNamespaced(args)
	if err != nil {
		return 0, err
	}
	interrupted := false
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	for {
		select {
		case sig := <-signals:
			interrupted = true
			cmd.Process.Signal(sig) // a terminal has told it already; it takes the second as the first
		case err := <-exited:
			if interrupted {
				return ExitInterrupted, nil
			}
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return ExitFailed, nil
			}
			if code := cmd.ProcessState.ExitCode(); code >= 0 {
				return code, nil
			}
			fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
			return ExitFailed, nil
		}
	}
}

// startNamespaced starts the process and waits until it can work there. Who is
// not root, or is root without the right, becomes root of a user namespace.
func startNamespaced(args []string) (*exec.Cmd, error) {
	var cmd *exec.Cmd
	err := errors.New("no right to make network namespaces")
	for _, flags := range []uintptr{syscall.CLONE_NEWNET, syscall.CLONE_NEWNET | syscall.CLONE_NEWUSER} {
		if cmd, err = tryNamespace(args, flags); err == nil {
			return cmd, nil
		}
	}
	return nil, err
}

func tryNamespace(args []string, flags uintptr) (*exec.Cmd, error) {
	cmd, err := Self(context.Background(), roleNamespaced, args...)
	if err != nil {
		return nil, err
	}
	ready, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	if flags&syscall.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return nil, fmt.Errorf("a new network namespace: %w", err)
	}
	message, err := io.ReadAll(ready)
	if err == nil && len(message) > 0 {
		err = fmt.Errorf("in a new network namespace: %s", message)
	}
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, err
	}
	return cmd, nil
}

// enterNamespace makes the fresh namespace, in which this process already is,
// usable, and tells the parent how that went.
func enterNamespace() error {
	ready := os.NewFile(readyFD, "ready")
	if ready == nil {
		return errors.New("started without a parent")
	}
	defer ready.Close()
	err := loopbackUp()
	for _, s := range sysctls {
		if err == nil {
			err = os.WriteFile(s.path, []byte(s.value), 0)
		}
	}
	if err != nil {
		fmt.Fprint(ready, err)
	}
	return err
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return os.NewSyscallError("set lo up", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo))
}

// DieWithParent has the kernel kill the command when this process dies, however
// that happens.
func DieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
