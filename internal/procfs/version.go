package procfs

import (
	"fmt"
	"strings"
)

// A Version is the release of a kernel, without what a distribution adds.
type Version struct{ Major, Minor, Patch int }

// Kernel returns the version of the running kernel. A distribution may have
// brought features of a later one into it.
func Kernel() (Version, error) {
	path := sysctl("kernel.osrelease")
	b, err := read(path, maxSetting)
	if err != nil {
		return Version{}, err
	}
	v, err := parseVersion(string(b))
	if err != nil {
		return Version{}, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// parseVersion reads "6.18.44-amd64", "4.12.0+", "6.8-rc3" and the like.
func parseVersion(s string) (Version, error) {
	var n [3]int
	rest := strings.TrimSpace(s)
	for i := range n {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits > 6 || digits == 0 && i < 2 {
			return Version{}, fmt.Errorf("no kernel release: %q", s)
		}
		for _, d := range rest[:digits] {
			n[i] = 10*n[i] + int(d-'0')
		}
		dot := false
		if rest, dot = strings.CutPrefix(rest[digits:], "."); !dot && i > 0 {
			break
		} else if !dot {
			return Version{}, fmt.Errorf("no kernel release: %q", s)
		}
	}
	return Version{n[0], n[1], n[2]}, nil
}

// AtLeast reports whether v is major.minor or a later version.
func (v Version) AtLeast(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

// String returns "6.18.44".
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }
