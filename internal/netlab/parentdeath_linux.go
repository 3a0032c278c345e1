package netlab

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel kill the process when the test's process dies,
// however that happens.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// endFamily has the kernel kill the processes that this one starts when it ends:
// it is the first of a process namespace. It is called after dieWithParent.
func endFamily(cmd *exec.Cmd) { cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWPID }
