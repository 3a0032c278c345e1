package procfs

import (
	"errors"
	"io/fs"
	"math"
	"runtime"
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
