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
