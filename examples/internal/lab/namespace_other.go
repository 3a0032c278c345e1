//go:build !linux

package lab

import (
	"errors"
	"os/exec"
)

var errNoNamespaces = errors.New("network namespaces are Linux's")

func runNamespaced([]string) (int, error) { return 0, errNoNamespaces }

func enterNamespace() error { return errNoNamespaces }

// DieWithParent does nothing: Linux alone has this.
func DieWithParent(*exec.Cmd) {}
