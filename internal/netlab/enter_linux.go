package netlab

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// enter makes the fresh namespace, in which this process already is, usable.
func enter(t testing.TB, opts []Option) {
	t.Helper()
	if err := loopbackUp(); err != nil {
		Missing(t, "the right to set lo up ("+err.Error()+")", namespacesHow)
	}
	for _, o := range opts {
		path := "/proc/sys/" + strings.ReplaceAll(o.sysctl, ".", "/")
		err := os.WriteFile(path, []byte(o.value), 0)
		switch {
		case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
			Missing(t, "the right to write "+path, "run where /proc/sys is not mounted read-only")
		case err != nil:
			t.Fatalf("netlab: %s = %s: %v", o.sysctl, o.value, err)
		}
	}
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}
