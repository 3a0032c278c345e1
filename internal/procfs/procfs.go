// Package procfs reads what the Linux kernel tells in /proc about its settings
// and about what has happened: a few files, each by one bounded read.
//
// What belongs to a network namespace is that of the calling thread, as it is
// with package sockdiag.
//
// An error for a file that this kernel does not have is [fs.ErrNotExist]. On
// other systems every error is [errors.ErrUnsupported]; only the parsing works
// there.
package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Setting returns the value of a kernel setting that is one whole number, such
// as "net.ipv4.tcp_tw_reuse". A number that is too large for an int64, as
// "fs.file-max" may be, comes as the largest.
func Setting(name string) (int64, error) {
	b, err := read(sysctl(name), maxSetting)
	if err != nil {
		return 0, err
	}
	n, err := parseInt(string(b))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", sysctl(name), err)
	}
	return n, nil
}

// FileHandles returns how many files the whole machine has open, and how many
// it may have (fs.file-nr).
func FileHandles() (open, limit int64, err error) {
	path := sysctl("fs.file-nr")
	b, err := read(path, maxSetting)
	if err != nil {
		return 0, 0, err
	}
	if open, limit, err = parseHandles(string(b)); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", path, err)
	}
	return open, limit, nil
}

// parseHandles reads "allocated free limit". The kernel has not kept any that
// are free since 2.6, but still subtracting them is right.
func parseHandles(s string) (open, limit int64, err error) {
	fields := strings.Fields(s)
	if len(fields) != 3 {
		return 0, 0, fmt.Errorf("not three numbers: %q", s)
	}
	var n [3]int64
	for i, field := range fields {
		if n[i], err = parseInt(field); err != nil {
			return 0, 0, err
		}
	}
	return n[0] - n[1], n[2], nil
}

func sysctl(name string) string { return "/proc/sys/" + strings.ReplaceAll(name, ".", "/") }

func parseInt(s string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		err = nil
	}
	return n, err
}

// What a file holds is less than this many bytes.
const (
	maxSetting  = 4 << 10
	maxPorts    = 512 << 10 // every other port of 65,536: 200 kB
	maxCounters = 64 << 10  // 4 kB by now
)

var errTooLong = errors.New("too long")

// read returns all of a file, which must be shorter than limit. Its first read
// is for that much: of a list of ports the kernel gives no more than the first
// read asks for, and then says that this was the end.
func read(path string, limit int) ([]byte, error) {
	if runtime.GOOS != "linux" {
		// Others have a /proc too, and in part with the same names.
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.ErrUnsupported}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, limit)
	n, err := io.ReadFull(f, b)
	switch {
	case err == nil:
		return nil, fmt.Errorf("%s: %w: more than %d bytes", path, errTooLong, limit)
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		return nil, err
	}
	return bytes.Clone(b[:n]), nil
}
