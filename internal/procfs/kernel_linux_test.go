package procfs_test

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/procfs"
)

func TestKernelSettings(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		if r, err := procfs.LocalPorts(); err != nil || r != (procfs.Range{Lo: 40000, Hi: 40999}) {
			t.Errorf("local ports %v, %v", r, err)
		}
		if n, err := procfs.Setting("net.ipv4.tcp_tw_reuse"); err != nil || n != 0 {
			t.Errorf("tcp_tw_reuse = %d, %v", n, err)
		}
		if _, err := procfs.Setting("net.ipv4.no_such_setting"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a setting that is not: %v", err)
		}
		if n, err := procfs.Setting("fs.file-max"); err != nil || n <= 0 {
			t.Errorf("file-max = %d, %v", n, err)
		}
		if open, limit, err := procfs.FileHandles(); err != nil || open <= 0 || open > limit {
			t.Errorf("%d files open of %d, %v", open, limit, err)
		}
		if v, err := procfs.Kernel(); err != nil || !v.AtLeast(3, 0) {
			t.Errorf("kernel %v, %v", v, err)
		}
		if c, err := procfs.ReadCounters(); err != nil || c["TcpActiveOpens"] != 0 {
			t.Errorf("a fresh namespace has counted %v, %v", c, err)
		}
	}, netlab.PortRange(40000, 40999))
}

// TestKernelReservedPorts: a list longer than a page, of which the kernel gives
// what the first read asks for and no more.
func TestKernelReservedPorts(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		if p, err := procfs.ReservedPorts(); err != nil || len(p) != 0 {
			t.Errorf("a fresh namespace reserves %v, %v", p, err)
		}
		var list []string
		for port := 10001; port <= 65535; port += 2 {
			list = append(list, strconv.Itoa(port))
		}
		const path = "/proc/sys/net/ipv4/ip_local_reserved_ports"
		if err := os.WriteFile(path, []byte(strings.Join(list, ",")), 0); err != nil {
			t.Fatal(err)
		}
		p, err := procfs.ReservedPorts()
		if err != nil || len(p) != len(list) || !p.Contains(10001) || !p.Contains(65535) || p.Contains(65534) {
			t.Errorf("%d ranges, error %v; want %d", len(p), err, len(list))
		}
	})
}
