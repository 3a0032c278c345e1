package procfs

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxProcesses is how many processes are looked at. Each costs some ten
// microseconds.
const maxProcesses = 4096

// Processes returns the processes of the calling thread's network namespace
// that may be looked at. A process that holds a socket of this namespace and
// has moved to another one is not found.
func Processes(ctx context.Context) (Found, error) {
	var found Found
	here, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return found, err
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return found, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return found, err
	}
	counted := countsDescriptors()
	looked := 0
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if looked++; looked > maxProcesses {
			found.Left++
			continue
		}
		if ctx.Err() != nil {
			return found, context.Cause(ctx)
		}
		p := Process{PID: pid, Counted: counted}
		p.Descriptors, err = p.descriptors(here)
		switch {
		case errors.Is(err, fs.ErrPermission):
			found.Denied++
		case err == nil && p.Descriptors > 0:
			found.Processes = append(found.Processes, p)
		}
	}
	slices.SortStableFunc(found.Processes, func(a, b Process) int { return cmp.Compare(b.Descriptors, a.Descriptors) })
	return found, nil
}

// countsDescriptors reports whether the size of a directory of descriptors is their
// number, as it is since Linux 6.2. This process has some.
func countsDescriptors() bool {
	info, err := os.Stat("/proc/self/fd")
	return err == nil && info.Size() > 0
}

// descriptors returns how many descriptors p has, or 0 if it is not in the
// network namespace here.
func (p Process) descriptors(here string) (int, error) {
	ns, err := os.Readlink(p.path("ns/net"))
	if err != nil || ns != here {
		return 0, err
	}
	fd, err := unix.Open(p.path("fd"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if !p.Counted {
		return p.table()
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	return int(st.Size), err
}

// table returns for how many descriptors the table of p has room.
func (p Process) table() (int, error) {
	b, err := read(p.path("status"), maxSetting)
	if err != nil {
		return 0, err
	}
	return parseTable(b)
}

// Sockets calls fn with the inode of every socket that p has open, of whatever
// kind. Of more than limit descriptors it looks at a sample, since each costs
// some microseconds: at a random one in each run of as many as share says. So
// each inode then stands for that many.
func (p Process) Sockets(limit int, fn func(inode uint32)) (share int, err error) {
	dir, err := os.Open(p.path("fd"))
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	fd := int(dir.Fd())
	var link [64]byte
	look := func(name string) error {
		n, err := unix.Readlinkat(fd, name, link[:])
		if err != nil {
			return err
		}
		if inode, ok := parseSocket(link[:n]); ok {
			fn(inode)
		}
		return nil
	}

	if p.Descriptors <= limit {
		names, err := dir.Readdirnames(limit)
		if err != nil && err != io.EOF {
			return 0, gone(err)
		}
		for _, name := range names {
			if err := look(name); err != nil && gone(err) != errGone { // a descriptor may be
				return 0, err
			}
		}
		return 1, nil
	}

	size, err := p.table()
	if err != nil {
		return 0, gone(err)
	}
	share = (size + limit - 1) / limit
	for from := 0; from < size; from += share {
		// Not every so-manieth: descriptors often alternate, say between the
		// two sides of a proxy.
		if err := look(strconv.Itoa(from + rand.IntN(share))); err != nil && gone(err) != errGone {
			return 0, err
		}
	}
	return share, nil
}

// gone returns errGone if err says that there is no such process, or no such
// descriptor any more.
func gone(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return errGone
	}
	return err
}
