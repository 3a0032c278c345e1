package dialer

import (
	"fmt"
	"strconv"
	"strings"
)

// describe says what the kernel's settings and counters mean here.
func (d *diagnosis) describe() {
	s := &d.system
	if d.hasRange() {
		d.setting("net.ipv4.ip_local_port_range", fmt.Sprintf("%d %d", d.Ports.Lo, d.Ports.Hi),
			"The ports of outgoing connections, of IPv4 and of IPv6. Each pair of a source address and a destination has all of them.")
	}
	if d.Ports.Reserved > 0 {
		d.setting("net.ipv4.ip_local_reserved_ports", shortened(d.sockets.reserved.String()),
			fmt.Sprintf("Ports that no connection is given. %s of them are in the range.", comma(d.Ports.Reserved)))
	}
	for _, name := range systemSettings {
		if v, ok := s.values[name]; ok {
			d.setting(name, strconv.FormatInt(v, 10), s.meaning(name, v))
		}
	}
	if s.maxHandles > 0 {
		d.setting("fs.file-max", strconv.FormatInt(s.maxHandles, 10),
			fmt.Sprintf("How many files all processes of the machine may have open together: now %s.", comma(int(s.handles))))
	}
	for _, c := range []struct{ name, meaning string }{
		{"TcpExtTW", "TIME_WAITs that this side has made."},
		{"TcpExtTWRecycled", "TIME_WAITs whose port was lent to a new connection."},
		{"TcpExtTCPTimeWaitOverflow", "TIME_WAITs that were left out because there were net.ipv4.tcp_max_tw_buckets of them: those connections ended without that protection."},
		{"TcpAttemptFails", "Connections that failed before they were established."},
	} {
		if v, ok := s.counters[c.name]; ok {
			d.Counters = append(d.Counters, Setting{c.name, strconv.FormatInt(v, 10), c.meaning})
		}
	}
}

func (d *diagnosis) setting(name, value, meaning string) {
	d.Settings = append(d.Settings, Setting{name, value, meaning})
}

// shortened returns a list with an end.
func shortened(list string) string {
	const enough = 200
	if len(list) <= enough {
		return list
	}
	list = list[:enough]
	return list[:strings.LastIndexByte(list, ',')] + ",…"
}

func (s *system) meaning(name string, v int64) string {
	switch name {
	case twReuse:
		return s.meaningOfReuse(v)
	case twReuseDelay:
		return "How old, in milliseconds, a TIME_WAIT has to be before its port is lent again. At least one tick of the peer's timestamp clock should lie between, so not less than 1000 unless every peer is known."
	case timestamps:
		if v == 0 {
			return "Off: no port in TIME_WAIT can be lent again, whatever tcp_tw_reuse says, and old segments are told from new ones by their sequence number alone."
		}
		return "On: what lending a port in TIME_WAIT again relies on. The peer has to have them on too."
	case finTimeout:
		return fmt.Sprintf("For how many seconds a closed socket waits in FIN_WAIT2 for the peer to close. It is not the length of TIME_WAIT, which is %.0f s and has no setting: changing it frees no port from TIME_WAIT.", timeWaitLen.Seconds())
	case maxBuckets:
		return "How many TIME_WAITs are kept. It bounds memory. Above it connections end without the protection of TIME_WAIT, so lowering it is no cure."
	case twRecycle:
		if v == 0 {
			return "Off, as it has to be: it broke the connections of clients behind a NAT, and Linux 4.12 has removed it."
		}
		return "On, which breaks the connections of clients behind a NAT: their timestamps are taken for one host's, and SYNs are dropped. Linux 4.12 has removed it."
	case conntrackCount:
		return "Connections that the firewall keeps track of."
	case conntrackMax:
		return "How many it can. Above that packets of new connections are dropped."
	case conntrackTimeWait:
		return fmt.Sprintf("For how many seconds the firewall remembers a connection after both ends have closed it. That is a time of its own, beside the kernel's %.0f s of TIME_WAIT: it takes an entry, not a port.", timeWaitLen.Seconds())
	case conntrackEstablished:
		return "For how many seconds the firewall remembers a connection on which nothing is sent. One that rests for longer may be cut without a word to either side: keep-alives have to come more often."
	}
	return ""
}

func (s *system) meaningOfReuse(v int64) string {
	after := "a second"
	if delay, ok := s.values[twReuseDelay]; ok {
		after = fmt.Sprintf("%d ms", delay)
	}
	switch v {
	case 0:
		return "A port in TIME_WAIT is not lent to a new connection to the same destination before its " + strconv.Itoa(int(timeWaitLen.Seconds())) + " s are over."
	case 1:
		return "A port in TIME_WAIT is lent to a new outgoing connection after " + after + " if the old one had timestamps. It is for the side that connects, and does nothing for a server."
	case 2:
		return "A port in TIME_WAIT is lent to a new outgoing connection after " + after + " on loopback only; elsewhere as with 0. This is Linux's default."
	}
	return "This package does not know the value."
}
