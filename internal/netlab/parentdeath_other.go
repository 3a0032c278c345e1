//go:build !linux

package netlab

import "os/exec"

// Nothing runs in a lab here.

func dieWithParent(*exec.Cmd) {}
func endFamily(*exec.Cmd)     {}
