package procfs

import (
	"errors"
	"io/fs"
	"math"
	"runtime"
	"strings"
	"testing"
)

func TestParseInt(t *testing.T) {
	for in, want := range map[string]int64{
		"2\n": 2, "-1\n": -1, "9223372036854775807\n": math.MaxInt64, "18446744073709551615\n": math.MaxInt64,
	} {
		if got, err := parseInt(in); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "\n", "1 2", "one"} {
		if got, err := parseInt(bad); err == nil {
			t.Errorf("%q: %d and no error", bad, got)
		}
	}
}

func TestParseHandles(t *testing.T) {
	if open, limit, err := parseHandles("632\t10\t9223372036854775807\n"); err != nil || open != 622 || limit != math.MaxInt64 {
		t.Errorf("%d of %d, %v", open, limit, err)
	}
	for _, bad := range []string{"", "1 2", "1 2 3 4", "1 x 3"} {
		if _, _, err := parseHandles(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func FuzzParseHandles(f *testing.F) {
	f.Add("632\t0\t2466170\n")
	f.Fuzz(func(t *testing.T, s string) {
		_, limit, err := parseHandles(s)
		if last, bad := parseInt(s[strings.LastIndexAny(s, " \t")+1:]); err == nil && bad == nil && last != limit {
			t.Errorf("%q: limit %d", s, limit)
		}
	})
}

func TestElsewhere(t *testing.T) {
	if runtime.GOOS == "linux" {
		t.Skip("this is Linux")
	}
	if _, err := Setting("net.ipv4.tcp_tw_reuse"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want errors.ErrUnsupported", err)
	}
	if _, err := Kernel(); !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want errors.ErrUnsupported", err)
	}
}
