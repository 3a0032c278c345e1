package dialer

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/lastack/lastack/internal/birth"
	"github.com/lastack/lastack/internal/sockopt"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// A Dialer makes connections that end without TIME_WAIT where their protocol
// allows it. The zero Dialer is ready. It must not be copied, nor its fields
// changed, after first use. Its methods may be called concurrently.
type Dialer struct {
	// Net is the template of every dial: timeouts, resolver, keep-alive, local
	// address, Control. It is used as it is, but for Multipath TCP, which is
	// off: its sockets do not tell or obey what the endings need.
	Net net.Dialer

	// Linger ends the connections.
	// If nil, a Closer of the Dialer's own with the default Policy does.
	Linger *linger.Closer

	// UserTimeout bounds how long sent data may stay unacknowledged before the
	// kernel gives the connection up (TCP_USER_TIMEOUT, in steps of a
	// millisecond; Linux). It also ends a healthy connection whose peer does
	// not read for that long.
	// If zero, it is not set.
	UserTimeout time.Duration

	// Meter counts the connections.
	// If nil, they are not counted.
	Meter *metrics.Meter

	closer linger.Closer // serves where Linger is nil
	once   sync.Once
	err    error // of the fields
}

// check reports a field that cannot be used, once for all dials.
func (d *Dialer) check() error {
	d.once.Do(func() {
		if d.UserTimeout < 0 {
			d.err = &FieldError{"UserTimeout", d.UserTimeout}
		} else {
			d.err = d.Closer().Policy.Check()
		}
	})
	return d.err
}

// A FieldError says which field of a Dialer cannot be used.
type FieldError struct {
	Field string
	Value any
}

func (e *FieldError) Error() string {
	return "invalid Dialer." + e.Field + ": " + fmt.Sprint(e.Value)
}

// Closer returns the Closer that ends the Dialer's connections: Linger, or the
// Dialer's own.
func (d *Dialer) Closer() *linger.Closer {
	if d.Linger != nil {
		return d.Linger
	}
	return &d.closer
}

// DialContext connects to the address, as [net.Dialer.DialContext] does. A TCP
// connection is returned as a [*linger.Conn]; what another network gives is
// returned as it is.
//
// A field of the Dialer that cannot be used is a [*FieldError] or a
// [*linger.PolicyError]; other errors are the net package's.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("dialer: %w", err)
	}
	note := birth.Of(ctx)
	host := d.host(note, address)
	nd := d.Net
	if isTCP(network) {
		nd.SetMultipathTCP(false)
		d.beforeConnect(&nd, note)
	}
	started := time.Now()
	if host != nil {
		host.DialStart()
	}
	c, err := nd.DialContext(ctx, network, address)
	if host != nil {
		host.DialDone(time.Since(started), err)
	}
	if err != nil {
		return nil, err
	}
	tc, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	conn := d.Closer().Conn(tc)
	switch {
	case note.Account != nil:
		conn.SetAccount(note.Account())
	case host != nil:
		conn.SetAccount(host.Born(true))
	}
	if note.FinReset {
		conn.PresetFinReset()
	}
	return conn, nil
}

// host returns the ledger of the destination, or nil if somebody else counts,
// or nobody.
func (d *Dialer) host(note birth.Note, address string) *metrics.Host {
	if d.Meter == nil || note.Account != nil {
		return nil
	}
	return d.Meter.Host(address)
}

// Shutdown waits until the connections that were closed have ended, farewells
// included. It closes none itself. Its error wraps ctx's cause and says how many
// it did not wait for.
func (d *Dialer) Shutdown(ctx context.Context) error { return d.Closer().Shutdown(ctx) }

func isTCP(network string) bool {
	return network == "tcp" || network == "tcp4" || network == "tcp6"
}

// beforeConnect has nd set the socket options that connect must find. Those
// that the kernel does not know are left out: none of them is needed for
// a connection that works.
func (d *Dialer) beforeConnect(nd *net.Dialer, note birth.Note) {
	finReset := note.FinReset && d.Closer().Policy.Fallback != linger.Plain
	noPort := bindsAddressOnly(nd.LocalAddr)
	if !finReset && !noPort && d.UserTimeout == 0 {
		return
	}
	set := func(fd uintptr) {
		if finReset {
			sockopt.SetFinResetFD(fd, true)
		}
		if noPort {
			sockopt.SetBindNoPortFD(fd)
		}
		if d.UserTimeout > 0 {
			sockopt.SetUserTimeoutFD(fd, d.UserTimeout)
		}
	}
	control, controlContext := nd.Control, nd.ControlContext
	nd.ControlContext = func(ctx context.Context, network, address string, c syscall.RawConn) error {
		if err := c.Control(set); err != nil {
			return err
		}
		// The user's own hook comes last, so that it wins. ControlContext
		// hides Control, as in net.Dialer.
		switch {
		case controlContext != nil:
			return controlContext(ctx, network, address, c)
		case control != nil:
			return control(network, address, c)
		}
		return nil
	}
}

// bindsAddressOnly reports whether a is a source address without a port, whose
// port connect may then choose by destination.
func bindsAddressOnly(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t != nil && t.Port == 0 && t.IP != nil && !t.IP.IsUnspecified()
}
