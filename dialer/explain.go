package dialer

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"

	"github.com/lastack/lastack/internal/procfs"
	"github.com/lastack/lastack/internal/sockdiag"
)

// explain returns the error of a dial with what the system says about it. An
// error that says all by itself is returned as it is. It is only for dials that
// have failed, and takes no longer than countFor beyond some system calls.
func (a *attempt) explain(ctx context.Context, err error) error {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok {
		return err
	}
	_, none := errors.AsType[*noPortError](op.Err)
	call, errno, ok := unclear(op.Err)
	if !ok && !none {
		return err
	}
	e := &Error{Destination: targetOf(op), Fixed: none, Err: err}
	for _, t := range a.triesTo(e.Destination) {
		if t.refused {
			return err
		}
		if e.Fixed {
			t.bound = netip.AddrPortFrom(t.bound.Addr(), 0)
		}
		if t.bound.IsValid() && !slices.Contains(e.Sources, t.bound) {
			e.Sources = append(e.Sources, t.bound)
		}
	}
	if _, byNumber := e.given(); byNumber {
		// Of the others no port was found, and so none has been tried.
		e.Sources = slices.DeleteFunc(e.Sources, func(s netip.AddrPort) bool { return s.Port() == 0 })
	}
	if e.Fixed {
		e.Cause = PortsExhausted
	} else {
		e.Cause = e.causeOf(call, errno)
	}
	switch e.Cause {
	case PortsExhausted, SourceExhausted:
		e.Range, e.Reserved = a.d.effectiveRange()
		e.readSettings()
		e.count(ctx)
	case PortInUse:
		given, _ := e.given()
		e.Range = PortRange{given.Port(), given.Port()}
		e.count(ctx)
	case ConnectionInTimeWait:
		e.readSettings()
	}
	e.advise()
	return e
}

// unclear returns the system call that has failed, and its errno, if that is one
// which may mean several things.
func unclear(err error) (call string, errno syscall.Errno, ok bool) {
	sys, ok := errors.AsType[*os.SyscallError](err)
	if !ok {
		return "", 0, false
	}
	errno, ok = sys.Err.(syscall.Errno)
	return sys.Syscall, errno, ok && (errno == syscall.EADDRNOTAVAIL || errno == syscall.EADDRINUSE || errno == syscall.ENETUNREACH)
}

// given returns the source whose port was given by number, if any.
func (e *Error) given() (netip.AddrPort, bool) {
	for _, s := range e.Sources {
		if s.Port() != 0 {
			return s, true
		}
	}
	return netip.AddrPort{}, false
}

// causeOf says what the errno of a system call means, which depends on whether
// the port was given by number. It asks the kernel where that leaves several
// possibilities.
func (e *Error) causeOf(call string, errno syscall.Errno) Cause {
	given, byNumber := e.given()
	switch {
	case errno == syscall.ENETUNREACH:
		return NoRoute
	case call == "bind" && errno == syscall.EADDRNOTAVAIL:
		return SourceNotLocal
	case call == "bind" && byNumber:
		return PortInUse
	case call == "bind":
		return SourceExhausted
	}
	source, err := probe(e.Destination)
	if errors.Is(err, syscall.EADDRNOTAVAIL) && !e.hasSource() {
		return NoSource
	}
	if byNumber {
		if given.Addr().IsUnspecified() {
			given = netip.AddrPortFrom(source, given.Port())
		}
		return e.connectionOf(given)
	}
	if !e.hasSource() && source.IsValid() {
		e.Sources = []netip.AddrPort{netip.AddrPortFrom(source, 0)}
	}
	return PortsExhausted
}

// hasSource reports whether the source address was given.
func (e *Error) hasSource() bool {
	return slices.ContainsFunc(e.Sources, func(s netip.AddrPort) bool { return !s.Addr().IsUnspecified() })
}

// connectionOf says what the connection is that is in the way.
func (e *Error) connectionOf(local netip.AddrPort) Cause {
	diag, err := sockdiag.Open()
	if err != nil {
		return ConnectionExists
	}
	defer diag.Close()
	state, ok, err := diag.Lookup(local, e.Destination)
	if err != nil || !ok {
		return ConnectionExists // it has just gone
	}
	e.States = map[string]int{state.String(): 1}
	if state == sockdiag.TimeWait {
		return ConnectionInTimeWait
	}
	return ConnectionExists
}

// probe returns the address from which this host would connect to the
// destination. It sends nothing: a UDP socket is only told its peer.
func probe(to netip.AddrPort) (netip.Addr, error) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	return localUDP(c), nil
}

func localUDP(c *net.UDPConn) netip.Addr {
	a, ok := c.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.Addr{}
	}
	return a.AddrPort().Addr().Unmap()
}

// settings that decide about local ports.
var settings = []string{
	"net.ipv4.tcp_tw_reuse",
	"net.ipv4.tcp_tw_reuse_delay",
	"net.ipv4.tcp_timestamps",
	"net.ipv4.tcp_fin_timeout",
	"net.ipv4.tcp_max_tw_buckets",
}

func (e *Error) readSettings() {
	e.Settings = make(map[string]int64)
	for _, name := range settings {
		if v, err := procfs.Setting(name); err == nil {
			e.Settings[name] = v
		}
	}
}

// count fills in the states, and what is left over.
func (e *Error) count(ctx context.Context) {
	q := question{ports: e.Range}
	if e.Cause == PortsExhausted {
		q.to = netip.AddrPortFrom(e.Destination.Addr().WithZone(""), e.Destination.Port())
	}
	by, ok := counting.ask(ctx, q)
	if !ok {
		return
	}
	e.States = make(map[string]int)
	taken := 0
	add := func(source netip.Addr) {
		states := by[source.WithZone("")]
		if states == nil {
			return
		}
		for state, n := range states {
			if n > 0 {
				e.States[sockdiag.State(state).String()] += n
				taken += n
			}
		}
	}
	for _, s := range e.Sources {
		add(s.Addr())
	}
	if e.Cause == PortInUse {
		for _, all := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			if all != e.Sources[0].Addr() {
				add(all) // a listener has the port at every address
			}
		}
		return
	}
	if e.Range != (PortRange{}) {
		e.Other = max(0, len(e.Sources)*(e.Range.Len()-e.Reserved)-taken)
	}
}

// advise says in one sentence what to do.
func (e *Error) advise() {
	switch e.Cause {
	case PortsExhausted:
		e.Advice = e.adviseExhausted()
	case SourceExhausted:
		e.Advice = "leave the port to connect (IP_BIND_ADDRESS_NO_PORT, which Dialer.Sources and Net.LocalAddr without a port set), so that each destination has all of them"
	case SourceNotLocal:
		e.Advice = "give the address to an interface of this host, or take it off the configuration"
	case NoSource:
		e.Advice = "see whether the address family is switched off (net.ipv6.conf.all.disable_ipv6), or dial the other one"
	case NoRoute:
		e.Advice = "see the routes (ip route get), or dial the other address family"
	case PortInUse:
		e.Advice = "take another local port, or leave the choice to the kernel"
		if e.States[sockdiag.TimeWait.String()] > 0 {
			e.Advice = "set SO_REUSEADDR before each connect to use a port again whose connection is in TIME_WAIT, or leave the choice to the kernel"
		}
	case ConnectionExists:
		e.Advice = "take another local port, or leave the choice to the kernel"
	case ConnectionInTimeWait:
		e.Advice = "switch TCP timestamps on at both ends (net.ipv4.tcp_timestamps), take another local port, or wait for a minute"
	}
}

func (e *Error) adviseExhausted() string {
	all := e.Other
	for _, n := range e.States {
		all += n
	}
	most := func(state sockdiag.State) bool { return 2*e.States[state.String()] > all }
	switch {
	case e.Fixed && most(sockdiag.TimeWait) && e.timestampsOff():
		return "most are in TIME_WAIT, for a minute each: switch TCP timestamps on at both ends (net.ipv4.tcp_timestamps), so that a new connection can be told from the last"
	case e.Fixed:
		return "a port can be used again a second after its connection has ended: widen Dialer.FixedPorts, add source addresses (Dialer.Sources), or keep connections and reuse them (package pool)"
	case e.States == nil:
		return "reuse connections, or add source addresses (Dialer.Sources)"
	case most(sockdiag.TimeWait):
		return "most are in TIME_WAIT, for a minute each: keep connections and reuse them (package pool), let the server close first, or " + e.adviseLending()
	case most(sockdiag.CloseWait):
		return "most are in CLOSE_WAIT: the server has closed them and the program that holds them has not, which is a leak there"
	case 2*e.Other > all:
		return "most were bound before connect, or by listeners: bind to an address without a port only with IP_BIND_ADDRESS_NO_PORT, and keep ports that are bound by number out of this range (net.ipv4.ip_local_reserved_ports)"
	}
	return "they are in use: send more over each connection (HTTP/2, package pool), add source addresses (Dialer.Sources), or widen net.ipv4.ip_local_port_range"
}

// adviseLending is what has the kernel lend ports in TIME_WAIT again, as far as
// its settings are known.
func (e *Error) adviseLending() string {
	local := func(s netip.AddrPort) bool { return s.Addr().IsLoopback() }
	reuse, known := e.Settings["net.ipv4.tcp_tw_reuse"]
	lends := reuse == 1 || reuse == 2 && (local(e.Destination) || slices.ContainsFunc(e.Sources, local))
	switch {
	case known && lends && e.timestampsOff():
		return "switch TCP timestamps on at both ends (net.ipv4.tcp_timestamps=1)"
	case known && lends:
		return "have the server use TCP timestamps, without which net.ipv4.tcp_tw_reuse does nothing"
	case e.timestampsOff():
		return "set net.ipv4.tcp_tw_reuse=1 and, at both ends, net.ipv4.tcp_timestamps=1"
	}
	return "set net.ipv4.tcp_tw_reuse=1"
}

// timestampsOff reports whether they are known to be.
func (e *Error) timestampsOff() bool {
	v, known := e.Settings["net.ipv4.tcp_timestamps"]
	return known && v == 0
}
