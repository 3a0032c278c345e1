package netlab

import "strconv"

// An Option changes the namespace that Run makes.
type Option struct{ sysctl, value string }

// Sysctl sets a kernel setting of the namespace, such as
// "net.ipv4.tcp_timestamps".
func Sysctl(name, value string) Option { return Option{name, value} }

// PortRange sets the range from which the kernel takes the ports of outgoing
// connections. The servers of the lab listen from port 8000 upwards.
func PortRange(lo, hi uint16) Option {
	return Sysctl("net.ipv4.ip_local_port_range", strconv.Itoa(int(lo))+" "+strconv.Itoa(int(hi)))
}

// defaults hold in every lab.
var defaults = []Option{
	// On loopback Linux would give the ports of TIME_WAIT sockets to new
	// connections after a second, and a count would come out too low.
	Sysctl("net.ipv4.tcp_tw_reuse", "0"),
	// Old segments would end a few TIME_WAITs early: of 1000 simultaneous
	// closes, 937 to 962 were left after 0.7 s.
	Sysctl("net.ipv4.tcp_rfc1337", "1"),
}
