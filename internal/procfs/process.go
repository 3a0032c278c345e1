package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
)

// A Process is one whose descriptors this process may look at.
type Process struct {
	PID int

	// Descriptors is how many it had open when it was found if Counted is set,
	// as it is since Linux 6.2; else for how many its table had room.
	Descriptors int
	Counted     bool
}

// Found is the processes that [Processes] has found, and those that it has not
// looked at.
type Found struct {
	Processes []Process // those with the most descriptors first
	Denied    int       // of other users, whom the kernel protects from us
	Left      int       // beyond the bound of this package
}

// errGone is the error for a process that has ended.
var errGone = fmt.Errorf("the process has ended: %w", fs.ErrNotExist)

// Name returns the name of the program that p runs, as the kernel keeps it: 15
// bytes at most, which the program may have chosen itself.
func (p Process) Name() (string, error) {
	b, err := read(p.path("comm"), maxSetting)
	if err != nil {
		return "", err
	}
	return strings.ToValidUTF8(strings.TrimSuffix(string(b), "\n"), "?"), nil
}

// Limit returns how many descriptors p may have open (RLIMIT_NOFILE, the soft
// one). No limit comes as [math.MaxInt].
func (p Process) Limit() (int, error) {
	b, err := read(p.path("limits"), maxSetting)
	if err != nil {
		return 0, err
	}
	n, err := parseLimit(b)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", p.path("limits"), err)
	}
	return n, nil
}

func (p Process) path(file string) string { return "/proc/" + strconv.Itoa(p.PID) + "/" + file }

// parseLimit reads "Max open files            1024                 4096                 files".
func parseLimit(b []byte) (int, error) {
	soft, ok := lineOf(b, "Max open files ")
	if !ok {
		return 0, errors.New("no line about open files")
	}
	soft, _, _ = strings.Cut(strings.TrimSpace(soft), " ")
	if soft == "unlimited" {
		return math.MaxInt, nil
	}
	return strconv.Atoi(soft)
}

// parseTable reads the line "FDSize:	256" of a status.
func parseTable(b []byte) (int, error) {
	size, ok := lineOf(b, "FDSize:")
	if !ok {
		return 0, errors.New("no line FDSize")
	}
	return strconv.Atoi(strings.TrimSpace(size))
}

// lineOf returns what follows prefix on the line that begins with it.
func lineOf(b []byte, prefix string) (string, bool) {
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte(prefix)); ok {
			return string(rest), true
		}
	}
	return "", false
}

// parseSocket reads "socket:[4242]", what the link of a descriptor says.
func parseSocket(link []byte) (inode uint32, ok bool) {
	link, ok = bytes.CutPrefix(link, []byte("socket:["))
	if !ok {
		return 0, false
	}
	link, ok = bytes.CutSuffix(link, []byte("]"))
	if !ok || len(link) == 0 || len(link) > 10 {
		return 0, false
	}
	n := uint64(0)
	for _, d := range link {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = 10*n + uint64(d-'0')
	}
	return uint32(n), n <= math.MaxUint32
}
