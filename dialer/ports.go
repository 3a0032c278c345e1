package dialer

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"

	"github.com/lastack/lastack/internal/procfs"
	"github.com/lastack/lastack/internal/sockopt"
)

// A PortRange is the ports from Lo to Hi, both included. The zero PortRange is
// none.
type PortRange struct{ Lo, Hi uint16 }

// Len returns how many ports r has.
func (r PortRange) Len() int {
	if r == (PortRange{}) {
		return 0
	}
	return int(r.Hi) - int(r.Lo) + 1
}

// Contains reports whether the port is in r.
func (r PortRange) Contains(port uint16) bool {
	return r != PortRange{} && r.Lo <= port && port <= r.Hi
}

// String returns "32768-60999", or "8080" for a single port.
func (r PortRange) String() string {
	if r.Lo == r.Hi {
		return strconv.Itoa(int(r.Lo))
	}
	return strconv.Itoa(int(r.Lo)) + "-" + strconv.Itoa(int(r.Hi))
}

// wholeRange is more than the system's range can be. Its bounds have no effect,
// but that there are any has (see [sockopt.SetLocalPortRangeFD]): no parity of
// ports is looked at before the other, so connect does not get slow when half
// of them are taken. And it stays right when the system's range is changed.
var wholeRange = PortRange{1, 65535}

// setPortRange has connect choose the port from d.Ports.
func (d *Dialer) setPortRange(fd uintptr) {
	if d.rangeless.Load() {
		return
	}
	r := d.Ports
	if r == (PortRange{}) {
		r = wholeRange
	}
	if sockopt.SetLocalPortRangeFD(fd, r.Lo, r.Hi) == nil {
		return
	}
	d.rangeless.Store(true)
	if d.Ports == (PortRange{}) {
		d.tellSlow()
		return
	}
	d.tell(slog.LevelWarn, "this system has no IP_LOCAL_PORT_RANGE (Linux 6.3): Dialer.Ports has no effect", "ports", d.Ports)
}

// tell has the log say what the system does not have, once for all.
func (d *Dialer) tell(level slog.Level, msg string, args ...any) {
	d.told.Do(func() {
		if d.Logger != nil {
			d.Logger.Log(context.Background(), level, msg, args...)
		}
	})
}

// tellSlow is about Linux only: elsewhere there is nothing to be had.
func (d *Dialer) tellSlow() {
	if runtime.GOOS == "linux" {
		d.tell(slog.LevelInfo, "this kernel is older than Linux 6.8: connecting gets slower once half of the local ports are taken")
	}
}

// kernel is the running one's release.
var kernel = procfs.Kernel

// checkKernel tells of one that takes the option for the range, but goes by parity
// all the same.
func (d *Dialer) checkKernel() {
	if d.Logger == nil || d.FixedPorts != (PortRange{}) {
		return
	}
	if v, err := kernel(); err == nil && v.AtLeast(6, 3) && !v.AtLeast(6, 8) {
		d.tellSlow()
	}
}

// checkPorts reports a range that the kernel would ignore.
func (d *Dialer) checkPorts() error {
	r := d.Ports
	if r == (PortRange{}) {
		return nil
	}
	fail := func(format string, args ...any) error {
		return &FieldError{"Ports", r, fmt.Errorf(format, args...)}
	}
	if r.Lo == 0 || r.Hi < r.Lo {
		return fail("no range of ports")
	}
	system, err := procfs.LocalPorts()
	if err != nil {
		if d.Logger != nil && runtime.GOOS == "linux" {
			d.Logger.Warn("cannot read the system's range of local ports: Dialer.Ports is used unchecked", "error", err)
		}
		return nil
	}
	if r.Lo < system.Lo || r.Hi > system.Hi {
		return fail("it must lie within %v, the system's range (net.ipv4.ip_local_port_range)", system)
	}
	reserved, err := procfs.ReservedPorts()
	if err == nil && reserved.Within(procfs.Range(r)) == r.Len() {
		return fail("all of it is reserved (net.ipv4.ip_local_reserved_ports)")
	}
	return nil
}

// effectiveRange returns the range that a port is chosen from, and how many
// of its ports are reserved. It is zero if that is not known.
func (d *Dialer) effectiveRange() (r PortRange, reserved int) {
	if d.FixedPorts != (PortRange{}) {
		return d.FixedPorts, 0
	}
	system, err := procfs.LocalPorts()
	if err != nil {
		return PortRange{}, 0
	}
	r = PortRange(system)
	if p := d.Ports; p != (PortRange{}) && !d.rangeless.Load() {
		if r.Contains(p.Lo) {
			r.Lo = p.Lo
		}
		if r.Contains(p.Hi) {
			r.Hi = p.Hi
		}
	}
	if ports, err := procfs.ReservedPorts(); err == nil {
		reserved = ports.Within(procfs.Range(r))
	}
	return r, reserved
}
