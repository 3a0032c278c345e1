package procfs

import (
	"math"
	"strconv"
	"strings"
	"testing"
)

const someLimits = `Limit                     Soft Limit           Hard Limit           Units     
Max core file size        0                    unlimited            bytes     
Max open files            1024                 524288               files     
`

func TestParseLimit(t *testing.T) {
	if n, err := parseLimit([]byte(someLimits)); err != nil || n != 1024 {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := parseLimit([]byte("Max open files            unlimited            unlimited            files\n")); err != nil || n != math.MaxInt {
		t.Errorf("unlimited: %d, %v", n, err)
	}
	for _, bad := range []string{"", "Max open files", "Max open files \n", "Max open files  many\n"} {
		if n, err := parseLimit([]byte(bad)); err == nil {
			t.Errorf("%q: %d and no error", bad, n)
		}
	}
}

func TestParseTable(t *testing.T) {
	if n, err := parseTable([]byte("Name:\tcat\nFDSize:\t256\nGroups:\t0\n")); err != nil || n != 256 {
		t.Errorf("%d, %v", n, err)
	}
	for _, bad := range []string{"", "FDSize:\n", "FDSize:\tx\n", "Name: FDSize: 1\n"} {
		if n, err := parseTable([]byte(bad)); err == nil {
			t.Errorf("%q: %d and no error", bad, n)
		}
	}
}

func TestParseSocket(t *testing.T) {
	for link, want := range map[string]uint32{"socket:[1]": 1, "socket:[4294967295]": math.MaxUint32} {
		if got, ok := parseSocket([]byte(link)); !ok || got != want {
			t.Errorf("%s: %d, %v", link, got, ok)
		}
	}
	for _, bad := range []string{"", "socket:[", "socket:[]", "socket:[4294967296]", "socket:[99999999999999999999]", "socket:[1", "socket:[-1]", "pipe:[1]", "/a"} {
		if got, ok := parseSocket([]byte(bad)); ok {
			t.Errorf("%q is socket %d", bad, got)
		}
	}
}

func FuzzProcess(f *testing.F) {
	f.Add(someLimits)
	f.Add("socket:[4242]")
	f.Add("Name:\tcat\nFDSize:\t256\n")
	f.Fuzz(func(t *testing.T, s string) {
		parseLimit([]byte(s))
		parseTable([]byte(s))
		inode, ok := parseSocket([]byte(s))
		if digits := strings.TrimSuffix(strings.TrimPrefix(s, "socket:["), "]"); ok {
			if n, err := strconv.ParseUint(digits, 10, 32); err != nil || uint32(n) != inode {
				t.Errorf("%q is socket %d", s, inode)
			}
		}
	})
}
