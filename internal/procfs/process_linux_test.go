package procfs_test

import (
	"context"
	"errors"
	"math"
	"os"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/procfs"
)

// sockets opens n sockets between two kinds of descriptors and returns their
// inodes.
func sockets(t *testing.T, n int) []uint32 {
	t.Helper()
	var inodes []uint32
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd); file.Close() })
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			t.Fatal(err)
		}
		inodes = append(inodes, uint32(st.Ino))
	}
	return inodes
}

// self returns the only process in the namespace of the test.
func self(t *testing.T) procfs.Process {
	t.Helper()
	found, err := procfs.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(found.Processes, func(p procfs.Process) bool { return p.PID == os.Getpid() })
	if i < 0 {
		t.Fatalf("we are not among %+v", found)
	}
	if len(found.Processes) != 1 {
		t.Errorf("there are others in this namespace: %+v", found)
	}
	return found.Processes[i]
}

func TestKernelProcessSockets(t *testing.T) {
	netlab.Run(t, func(*netlab.Lab) {
		const n = 1000
		mine := sockets(t, n)
		p := self(t)
		if p.Descriptors < 2*n {
			t.Errorf("%d descriptors, want %d and some", p.Descriptors, 2*n)
		}
		missing := map[uint32]bool{}
		for _, inode := range mine {
			missing[inode] = true
		}
		share, err := p.Sockets(math.MaxInt16, func(inode uint32) { delete(missing, inode) })
		if err != nil || share != 1 || len(missing) != 0 {
			t.Errorf("share %d, error %v; missed %d of %d sockets", share, err, len(missing), n)
		}

		// A sample finds a part, without being led by the order of the
		// descriptors: every other one is a socket.
		seen := 0
		share, err = p.Sockets(500, func(inode uint32) {
			if slices.Contains(mine, inode) {
				seen++
			}
		})
		if guess := seen * share; err != nil || share < 4 || guess < n/2 || guess > n*3/2 {
			t.Errorf("%d sockets seen, each for %d, error %v; there are %d", seen, share, err, n)
		}
	})
}

func TestKernelProcessFacts(t *testing.T) {
	netlab.Run(t, func(*netlab.Lab) {
		p := self(t)
		comm, err := os.ReadFile("/proc/self/comm")
		if err != nil {
			t.Fatal(err)
		}
		if name, err := p.Name(); err != nil || name+"\n" != string(comm) {
			t.Errorf("name %q, %v; want %q", name, err, comm)
		}
		var lim syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
			t.Fatal(err)
		}
		if n, err := p.Limit(); err != nil || uint64(n) != lim.Cur {
			t.Errorf("limit %d, %v; want %d", n, err, lim.Cur)
		}
		nobody := procfs.Process{PID: math.MaxInt32}
		if _, err := nobody.Name(); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("no process: %v", err)
		}
		if _, err := nobody.Sockets(10, func(uint32) {}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("no process: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := procfs.Processes(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}
