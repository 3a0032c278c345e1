package procfs

import "testing"

func TestParseVersion(t *testing.T) {
	for in, want := range map[string]Version{
		"6.18.44-amd64\n":                 {6, 18, 44},
		"4.12":                            {4, 12, 0},
		"4.12.0+":                         {4, 12, 0},
		"6.8-rc3":                         {6, 8, 0},
		"3.10.0-1160.el7.x86_64":          {3, 10, 0},
		"5.15.153.1-microsoft-standard\n": {5, 15, 153},
		"6.6.":                            {6, 6, 0},
	} {
		if got, err := parseVersion(in); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "6", "6.", ".8", "v6.8", "6-8", "6.x", "1234567.1"} {
		if got, err := parseVersion(bad); err == nil {
			t.Errorf("%q: %v and no error", bad, got)
		}
	}
}

func TestVersionAtLeast(t *testing.T) {
	v := Version{6, 8, 3}
	for _, tt := range []struct {
		major, minor int
		want         bool
	}{{6, 8, true}, {6, 7, true}, {5, 19, true}, {6, 9, false}, {7, 0, false}} {
		if v.AtLeast(tt.major, tt.minor) != tt.want {
			t.Errorf("%v at least %d.%d: %v", v, tt.major, tt.minor, !tt.want)
		}
	}
}

func FuzzParseVersion(f *testing.F) {
	f.Add("6.18.44-amd64\n")
	f.Add("4.12")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parseVersion(s)
		if err != nil {
			return
		}
		if v.Major < 0 || v.Minor < 0 || v.Patch < 0 || !v.AtLeast(v.Major, v.Minor) || v.AtLeast(v.Major+1, 0) {
			t.Errorf("%q: %+v", s, v)
		}
		if again, err := parseVersion(v.String()); err != nil || again != v {
			t.Errorf("%q: %v, printed and read again: %v, %v", s, v, again, err)
		}
	})
}
