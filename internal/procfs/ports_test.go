package procfs

import (
	"slices"
	"testing"
)

func TestParseRange(t *testing.T) {
	for in, want := range map[string]Range{
		"32768\t60999\n": {32768, 60999},
		"1 65535":        {1, 65535},
		"5000 5000\n":    {5000, 5000},
	} {
		if got, err := parseRange(in); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "1", "1 2 3", "1 65536", "-1 2", "2 1", "a b"} {
		if got, err := parseRange(bad); err == nil {
			t.Errorf("%q: %v and no error", bad, got)
		}
	}
}

func TestParsePorts(t *testing.T) {
	for in, want := range map[string]Ports{
		"\n":                      nil,
		"8080\n":                  {{8080, 8080}},
		"8080,9148,30000-30010\n": {{8080, 8080}, {9148, 9148}, {30000, 30010}},
		"0-65535":                 {{0, 65535}},
	} {
		if got, err := parsePorts(in); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", in, got, err, want)
		}
	}
	for _, bad := range []string{",", "1,", "1-", "-1", "1-2-3", "2-1", "65536", "5,4", "1-5,5", "1 2"} {
		if got, err := parsePorts(bad); err == nil {
			t.Errorf("%q: %v and no error", bad, got)
		}
	}
}

func TestPorts(t *testing.T) {
	p := Ports{{8080, 8080}, {30000, 30010}, {65535, 65535}}
	for port, want := range map[uint16]bool{
		0: false, 8079: false, 8080: true, 8081: false,
		29999: false, 30000: true, 30005: true, 30010: true, 30011: false, 65535: true,
	} {
		if p.Contains(port) != want {
			t.Errorf("contains %d: %v", port, !want)
		}
	}
	for r, want := range map[Range]int{
		{0, 65535}: 13, {8080, 8080}: 1, {8081, 29999}: 0, {30009, 65535}: 3, {30002, 30004}: 3,
	} {
		if got := p.Within(r); got != want {
			t.Errorf("within %v: %d, want %d", r, got, want)
		}
	}
	if n := (Range{0, 65535}).Len(); n != 65536 {
		t.Errorf("all ports are %d", n)
	}
	if (Ports)(nil).Contains(1) {
		t.Error("the empty set contains a port")
	}
}

func FuzzParsePorts(f *testing.F) {
	f.Add("8080,9148,30000-30010\n", uint16(30000))
	f.Add("0-65535", uint16(65535))
	f.Fuzz(func(t *testing.T, s string, port uint16) {
		p, err := parsePorts(s)
		if err != nil {
			return
		}
		if again, err := parsePorts(p.String()); err != nil || !slices.Equal(p, again) {
			t.Errorf("%q: %v, printed and read again: %v, %v", s, p, again, err)
		}
		if want := slices.ContainsFunc(p, func(r Range) bool { return r.Contains(port) }); p.Contains(port) != want {
			t.Errorf("%v contains %d: %v", p, port, !want)
		}
		sum := 0
		for _, r := range p {
			sum += r.Len()
		}
		if n := p.Within(Range{0, 65535}); n != sum {
			t.Errorf("%v: %d ports within all, %d in sum", p, n, sum)
		}
	})
}

func FuzzParseRange(f *testing.F) {
	f.Add("32768\t60999\n")
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := parseRange(s); err == nil && (r.Len() < 1 || !r.Contains(r.Lo) || !r.Contains(r.Hi)) {
			t.Errorf("%q: %v has %d ports", s, r, r.Len())
		}
	})
}
