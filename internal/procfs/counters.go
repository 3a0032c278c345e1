package procfs

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Counters are the kernel's counts of events in a network namespace, by the
// names that nstat prints: TcpExtTW, TcpExtTCPAbortOnData, TcpOutRsts…
type Counters map[string]int64

// ReadCounters reads the counters of the namespace.
func ReadCounters() (Counters, error) {
	c := Counters{}
	for _, path := range []string{"/proc/thread-self/net/netstat", "/proc/thread-self/net/snmp"} {
		b, err := read(path, maxCounters)
		if err != nil {
			return nil, err
		}
		if err := c.parse(bytes.NewReader(b)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return c, nil
}

// parse reads pairs of lines, "TcpExt: TW TWRecycled" and "TcpExt: 3 0".
func (c Counters) parse(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		group, names, ok := strings.Cut(lines.Text(), ":")
		if !ok {
			return fmt.Errorf("no group in %q", lines.Text())
		}
		if !lines.Scan() {
			return fmt.Errorf("no values for %s", group)
		}
		values, ok := strings.CutPrefix(lines.Text(), group+":")
		if !ok {
			return fmt.Errorf("values of another group follow %s", group)
		}
		if err := c.add(group, strings.Fields(names), strings.Fields(values)); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (c Counters) add(group string, names, values []string) error {
	if len(names) != len(values) {
		return fmt.Errorf("%s: %d names, %d values", group, len(names), len(values))
	}
	for i, name := range names {
		n, err := strconv.ParseInt(values[i], 10, 64) // Tcp MaxConn is -1
		if err != nil {
			return fmt.Errorf("%s%s: %w", group, name, err)
		}
		c[group+name] = n
	}
	return nil
}

// Since returns how much each counter has grown since before, without those
// that have not.
func (c Counters) Since(before Counters) Counters {
	grown := Counters{}
	for name, n := range c {
		if d := n - before[name]; d != 0 {
			grown[name] = d
		}
	}
	return grown
}

// String lists the TCP counters that are not zero.
func (c Counters) String() string {
	var s []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if strings.HasPrefix(name, "Tcp") && c[name] != 0 {
			s = append(s, fmt.Sprintf("%s=%d", name, c[name]))
		}
	}
	return strings.Join(s, " ")
}
