package netlab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Missing ends a test that needs something which this machine lacks: it skips
// it, or fails it where CI=true. The line it prints names what is missing and
// how to get it.
func Missing(t testing.TB, what, how string) {
	t.Helper()
	if ci, _ := strconv.ParseBool(os.Getenv("CI")); ci {
		t.Fatalf("%s is missing, and with CI=true that is a failure. To get it: %s", what, how)
	}
	t.Skipf("%s is missing. To get it: %s", what, how)
}

// program returns the path of a program, or ends the test by Missing.
func program(t testing.TB, name, how string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	// Debian keeps servers here, and not in the PATH of ordinary users.
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	Missing(t, name, how)
	return ""
}
