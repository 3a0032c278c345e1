package dialer

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lastack/lastack/internal/birth"
	"github.com/lastack/lastack/internal/sockopt"
	"github.com/lastack/lastack/internal/tcpaddr"
	"github.com/lastack/lastack/linger"
)

// An attempt is one dial over TCP. To the net package that may be several
// sockets: one for each address of a name, two at a time when both families
// race, and up to three for one address, since it tries again when the kernel
// finds no port. Each of them goes through control, which chooses its source.
type attempt struct {
	d    *Dialer
	note birth.Note

	mu    sync.Mutex // taken before sources.mu and rings.mu
	done  bool       // sockets of a race that is lost may still come by
	wary  bool       // the kernel has refused a fixed port
	tries []try
	first time.Time // when the first socket was to be connected
	named bool      // the addresses had to be found
}

// A try is one socket of an attempt.
type try struct {
	to     netip.AddrPort
	here   bool           // it was asked for as this host, by no address
	source netip.Addr     // one of Dialer.Sources, which counts it; or none
	bound  netip.AddrPort // what it was bound to before connect, as far as known
	lease  *lease         // of a fixed port, or nil
	failed bool

	refused bool // by the user's own hook, whose error needs no explanation
}

// dial connects, and explains why it could not.
func (a *attempt) dial(ctx context.Context, network, address string) (net.Conn, error) {
	nd := a.d.Net
	nd.SetMultipathTCP(false)
	nd.Control, nd.ControlContext = nil, a.control
	if nd.Timeout > 0 { // for all of them, where each DialContext would begin it anew
		if at := time.Now().Add(nd.Timeout); nd.Deadline.IsZero() || at.Before(nd.Deadline) {
			nd.Deadline = at
		}
	}
	host, _, _ := net.SplitHostPort(address)
	_, perr := netip.ParseAddr(host)
	a.named = host != "" && perr != nil
	over := func() bool { return ctx.Err() != nil || !nd.Deadline.IsZero() && !time.Now().Before(nd.Deadline) }
	c, err := nd.DialContext(ctx, network, address)
	for i := 0; err != nil && !over() && a.again(err, i); i++ {
		c, err = nd.DialContext(ctx, network, address) // it gives up after three sources or ports
	}
	if err != nil {
		err = a.explain(ctx, err)
		a.refused(err)
		a.end(netip.AddrPort{})
		return nil, err
	}
	return c, nil
}

// control is called for each socket before it is connected.
func (a *attempt) control(ctx context.Context, network, address string, c syscall.RawConn) error {
	to, err := target(network, address)
	if err != nil {
		return err
	}
	t := try{to: to, here: isHere(address)}
	a.begun()
	var serr error
	if err := c.Control(func(fd uintptr) { serr = a.prepare(fd, &t) }); err != nil {
		return err
	}
	// The user's own hook comes last, so that it wins. ControlContext hides
	// Control, as in net.Dialer.
	template := &a.d.Net
	switch {
	case serr != nil:
		err = serr
	case template.ControlContext != nil:
		err = template.ControlContext(ctx, network, address, c)
	case template.Control != nil:
		err = template.Control(network, address, c)
	}
	if serr == nil && (template.ControlContext != nil || template.Control != nil) {
		var bound netip.AddrPort
		c.Control(func(fd uintptr) { bound = sockopt.LocalAddrFD(fd) })
		a.hooked(t.to, bound, err != nil)
	}
	if err == nil && a.d.FixedPorts != (PortRange{}) {
		// Only now is it known on which device the connection is to be, and
		// nobody's time goes by between the look at the port and connect.
		err = a.bindFixed(ctx, c, t)
	}
	return err
}

// target returns the address to which a socket is connected that is told this
// one: no host, as in ":80" or "0.0.0.0:80", is this one.
func target(network, address string) (netip.AddrPort, error) {
	if strings.HasPrefix(address, ":") {
		host := "0.0.0.0"
		if network == "tcp6" {
			host = "[::]"
		}
		address = host + address
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return to, err
	}
	addr := to.Addr().Unmap()
	switch {
	case addr == netip.IPv4Unspecified():
		addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case addr == netip.IPv6Unspecified():
		addr = netip.IPv6Loopback()
	case addr.Zone() != "":
		addr = addr.WithZone(zoneName(addr))
	}
	return netip.AddrPortFrom(addr, to.Port()), nil
}

// isHere reports whether the address names no host.
func isHere(address string) bool {
	to, err := netip.ParseAddrPort(address)
	return err != nil || to.Addr().Unmap().IsUnspecified()
}

// from returns what the kernel connects the try's socket to when it is bound to
// the source: that itself, where an IPv4 address of this host is left open.
func (t try) from(source netip.Addr) netip.AddrPort {
	if t.here && t.to.Addr().Is4() && source.Is4() && !source.IsUnspecified() {
		return netip.AddrPortFrom(source, t.to.Port())
	}
	return t.to
}

// reaches reports whether the try's connection has that remote address.
func (t try) reaches(remote netip.AddrPort) bool {
	return t.to == remote || t.bound.IsValid() && t.from(t.bound.Addr()) == remote
}

// zoneName returns the zone of an address as the net package reports it for a
// connection: the name of the interface, also where a number was given, and none
// where the kernel knows none.
func zoneName(addr netip.Addr) string {
	if !addr.IsLinkLocalUnicast() {
		return ""
	}
	if n, err := strconv.Atoi(addr.Zone()); err == nil {
		if ifi, err := net.InterfaceByIndex(n); err == nil {
			return ifi.Name
		}
	}
	return addr.Zone()
}

// targetOf returns the address of the socket that the error is about, or none.
func targetOf(op *net.OpError) netip.AddrPort {
	a, ok := op.Addr.(*net.TCPAddr)
	if !ok || a == nil {
		return netip.AddrPort{}
	}
	to, _ := target(op.Net, a.String())
	return to
}

// hooked notes what the user's hook has made of the socket that is next to be
// connected to the address.
func (a *attempt) hooked(to, bound netip.AddrPort, refused bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if refused && a.d.FixedPorts != (PortRange{}) {
		a.tries = append(a.tries, try{to: to, failed: true, refused: true}) // before it has a port
		return
	}
	for i := range a.tries {
		if t := &a.tries[i]; t.to == to && !t.failed {
			t.refused = refused
			if bound.IsValid() && (!bound.Addr().IsUnspecified() || bound.Port() != 0) {
				t.bound = bound
			}
		}
	}
}

// prepare sets what connect must find. Options that the kernel does not know
// are left out: none of them is needed for a connection that works.
func (a *attempt) prepare(fd uintptr, t *try) error {
	d := a.d
	if a.note.FinReset && d.Closer().Policy.Fallback != linger.Plain {
		sockopt.SetFinResetFD(fd, true)
	}
	if d.UserTimeout > 0 {
		sockopt.SetUserTimeoutFD(fd, d.UserTimeout)
	}
	if d.FixedPorts != (PortRange{}) {
		return sockopt.SetReuseAddrFD(fd) // it is bound outside, since that may take time
	}
	local := tcpAddr(d.Net.LocalAddr)
	address := local.IsValid() && !local.Addr().IsUnspecified()
	if local.Port() != 0 || address {
		t.bound = local
	}
	if local.Port() == 0 {
		d.setPortRange(fd)
		if len(d.Sources) > 0 || address {
			sockopt.SetBindNoPortFD(fd)
		}
	}
	if len(d.Sources) > 0 {
		return a.bind(fd, *t)
	}
	a.begin(*t, false)
	return nil
}

// tcpAddr returns the address of a *net.TCPAddr. It is not valid if there is
// none, and that of any host if there is a port only.
func tcpAddr(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok && t != nil && len(t.IP) == 0 {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), t.AddrPort().Port())
	}
	return tcpaddr.Of(a)
}

// bind binds the socket to a source.
func (a *attempt) bind(fd uintptr, t try) error {
	var last error
	for range a.d.Sources {
		source, ok := a.begin(t, true)
		if !ok {
			break
		}
		err := sockopt.BindFD(fd, source)
		if err == nil {
			a.d.sources.works(source, a.d.Logger)
			return nil
		}
		last = err
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			a.d.sources.putAside(source, a.d.Logger)
		}
	}
	if last == nil {
		return &net.AddrError{Err: "no source address of its family", Addr: t.to.String()}
	}
	return last
}

// begin notes a socket. If it is to have a source, it returns the one, and
// false if there is none. An earlier socket to the same address has failed.
func (a *attempt) begin(t try, sourced bool) (netip.Addr, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var failed []netip.Addr
	for i := range a.tries {
		old := &a.tries[i]
		if old.to != t.to {
			continue
		}
		if !old.failed {
			old.failed = true
			a.d.sources.release(old.use())
			if l := old.lease; l != nil {
				// The kernel has refused the port, and does not say whether for
				// a TIME_WAIT without timestamps.
				l.bare = true
				l.used()
				a.wary = true
			}
		}
		failed = append(failed, old.source)
	}
	if sourced {
		var ok bool
		if t.source, ok = a.d.sources.pick(a.d.Sources, t.to, failed, !a.done, time.Now()); !ok {
			return netip.Addr{}, false
		}
		t.bound = netip.AddrPortFrom(t.source, 0)
	}
	if !a.done {
		a.tries = append(a.tries, t)
	}
	return t.source, true
}

func (t try) use() use { return use{t.source, t.to} }

// end ends the attempt. The sources and ports of its sockets are given back, but
// for those of the connection to the remote address, which are returned.
func (a *attempt) end(remote netip.AddrPort) (kept try) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = true
	for _, t := range a.tries {
		switch {
		case t.failed:
		case t.reaches(remote) && !kept.to.IsValid():
			kept = t
		default:
			a.d.sources.release(t.use())
			if t.lease != nil {
				t.lease.used()
			}
		}
	}
	return kept
}

// account returns the account of the connection that the attempt has brought:
// one that keeps books on its source and port before it tells the given one, which may be
// nil, as it may itself.
func (a *attempt) account(c *linger.Conn, told linger.Account) linger.Account {
	kept := a.end(tcpAddr(c.RemoteAddr()))
	if kept.source.IsValid() {
		p := &place{use: kept.use(), sources: &a.d.sources}
		runtime.AddCleanup(c, (*place).release, p) // it may be forgotten unclosed
		told = &occupancy{p, told}
	}
	if kept.lease != nil {
		told = kept.lease.settle(c, told)
	}
	return told
}

// again reports whether to dial once more after the error, having done so n
// times: for want of a port, and for another source, or another fixed port.
func (a *attempt) again(err error, n int) bool {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || !errors.Is(err, syscall.EADDRNOTAVAIL) {
		return false
	}
	to := targetOf(op)
	tried := a.triesTo(to)
	if a.d.FixedPorts != (PortRange{}) && n < maxRedials {
		// Where the socket got no port, as there is no source address, another
		// would not either.
		return slices.ContainsFunc(tried, func(t try) bool { return t.lease != nil })
	}
	return n < len(a.d.Sources) && slices.ContainsFunc(a.d.Sources, func(s netip.Addr) bool {
		s = s.Unmap()
		return s.Is4() == to.Addr().Is4() &&
			!slices.ContainsFunc(tried, func(t try) bool { return t.source == s })
	})
}

// triesTo returns the sockets that were to be connected to the address.
func (a *attempt) triesTo(to netip.AddrPort) []try {
	a.mu.Lock()
	defer a.mu.Unlock()
	var tries []try
	for _, t := range a.tries {
		if t.to == to {
			tries = append(tries, t)
		}
	}
	return tries
}
