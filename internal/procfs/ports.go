package procfs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Range is the ports from Lo to Hi, both included.
type Range struct{ Lo, Hi uint16 }

// LocalPorts returns the range from which the kernel takes the ports of
// outgoing connections, of IPv4 and of IPv6 (net.ipv4.ip_local_port_range).
func LocalPorts() (Range, error) {
	path := sysctl("net.ipv4.ip_local_port_range")
	b, err := read(path, maxSetting)
	if err != nil {
		return Range{}, err
	}
	r, err := parseRange(string(b))
	if err != nil {
		return Range{}, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// parseRange reads "32768\t60999".
func parseRange(s string) (Range, error) {
	fields := strings.Fields(s)
	if len(fields) != 2 {
		return Range{}, fmt.Errorf("no range of ports: %q", s)
	}
	return newRange(fields[0], fields[1])
}

func newRange(lo, hi string) (Range, error) {
	l, err := strconv.ParseUint(lo, 10, 16)
	if err != nil {
		return Range{}, err
	}
	h, err := strconv.ParseUint(hi, 10, 16)
	if err != nil {
		return Range{}, err
	}
	if h < l {
		return Range{}, fmt.Errorf("no range of ports: %s to %s", lo, hi)
	}
	return Range{uint16(l), uint16(h)}, nil
}

// Len returns how many ports r has.
func (r Range) Len() int { return int(r.Hi) - int(r.Lo) + 1 }

// Contains reports whether the port is in r.
func (r Range) Contains(port uint16) bool { return r.Lo <= port && port <= r.Hi }

// String returns "32768-60999", or "8080" for a single port.
func (r Range) String() string {
	if r.Lo == r.Hi {
		return strconv.Itoa(int(r.Lo))
	}
	return strconv.Itoa(int(r.Lo)) + "-" + strconv.Itoa(int(r.Hi))
}

// Ports is a set of ports: ranges in ascending order that do not overlap.
type Ports []Range

// ReservedPorts returns the ports that the kernel gives to nobody who does not
// ask for them by number (net.ipv4.ip_local_reserved_ports).
func ReservedPorts() (Ports, error) {
	path := sysctl("net.ipv4.ip_local_reserved_ports")
	// Most often there are few. The kernel makes room for as much as is asked
	// for, too.
	b, err := read(path, maxSetting)
	if errors.Is(err, errTooLong) {
		b, err = read(path, maxPorts)
	}
	if err != nil {
		return nil, err
	}
	p, err := parsePorts(string(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// parsePorts reads "8080,30000-30010".
func parsePorts(s string) (Ports, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return nil, nil
	}
	var p Ports
	for part := range strings.SplitSeq(s, ",") {
		lo, hi, ok := strings.Cut(part, "-")
		if !ok {
			hi = lo
		}
		r, err := newRange(lo, hi)
		if err != nil {
			return nil, err
		}
		if n := len(p); n > 0 && r.Lo <= p[n-1].Hi {
			return nil, fmt.Errorf("ports out of order: %v after %v", r, p[n-1])
		}
		p = append(p, r)
	}
	return p, nil
}

// Contains reports whether the port is in p.
func (p Ports) Contains(port uint16) bool {
	_, found := slices.BinarySearchFunc(p, port, func(r Range, port uint16) int {
		if r.Contains(port) {
			return 0
		}
		return cmp.Compare(r.Lo, port)
	})
	return found
}

// Within returns how many ports of p are in r.
func (p Ports) Within(r Range) int {
	n := 0
	for _, q := range p {
		n += max(0, int(min(q.Hi, r.Hi))-int(max(q.Lo, r.Lo))+1)
	}
	return n
}

// String returns "8080,30000-30010".
func (p Ports) String() string {
	parts := make([]string, len(p))
	for i, r := range p {
		parts[i] = r.String()
	}
	return strings.Join(parts, ",")
}
