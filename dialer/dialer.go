package dialer

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lastack/lastack/internal/birth"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// A Dialer makes connections that end without TIME_WAIT where their protocol
// allows it, and whose local ports are used as far as they go. The zero Dialer
// is ready. It must not be copied, nor its fields
// changed, after first use. Its methods may be called concurrently.
type Dialer struct {
	// Net is the template of every dial: timeouts, resolver, keep-alive, local
	// address, Control. It is used as it is, but for Multipath TCP, which is
	// off: its sockets do not tell or obey what the endings need.
	Net net.Dialer

	// Linger ends the connections.
	// If nil, a Closer of the Dialer's own with the default Policy does.
	Linger *linger.Closer

	// Sources are addresses of this host from which to connect over TCP. Each
	// brings a whole range of ports for every destination. A dial takes the one
	// from which the fewest of the Dialer's connections go to that destination,
	// TIME_WAITs included, the first of them on a tie, and the next one when its
	// ports are used up. Where a name has addresses of both families, only those
	// are dialled for which there is a source.
	//
	// If one of them is not an address of this host, the first dial fails with
	// a [*FieldError] that names it, and so do the next ones until it is. One
	// that disappears later is put aside, and tried again after some seconds.
	//
	// If empty, the system chooses, or Net.LocalAddr; both may not be set.
	// Windows does not have this: there a dial fails.
	Sources []netip.Addr

	// Ports narrows the range from which the kernel takes the local ports
	// (IP_LOCAL_PORT_RANGE, since Linux 6.3). It must lie within the system's
	// (net.ipv4.ip_local_port_range) and not be reserved as a whole
	// (net.ipv4.ip_local_reserved_ports); anything else the kernel would ignore
	// silently, so the first dial fails with a [*FieldError]. Where the option
	// is not known, Ports has no effect, of which Logger is told.
	// If zero, it is the system's. A port in Net.LocalAddr overrides it.
	Ports PortRange

	// FixedPorts are local ports that the Dialer gives to its connections by
	// itself, so that one can be used again while its last connection to the
	// same destination is in TIME_WAIT, which the kernel does only as far as
	// net.ipv4.tcp_tw_reuse lets it. That is of use where this side closes
	// first and must not reset: under Policy.Fallback Plain, or Abort.
	//
	// Each source address has all of them for each destination, but for the
	// destination's own port. A port rests for a second after its connection
	// has ended, and that must have had TCP timestamps, or its TIME_WAIT is
	// waited for. So n of them serve about n connections a second that are
	// closed at once. A port is not used while the kernel has anything but a
	// TIME_WAIT there. A dial for which there is none waits for one that
	// rests, or that belongs to a connection that has been closed, for two
	// seconds at most. If all are in use, or ctx would be over before, it fails
	// at once with an [*Error] that is [ErrPortsExhausted].
	// Dialers of a process that have the same FixedPorts share them; ranges
	// that overlap and differ, in one process or in several, do not keep the
	// rest of each other's ports.
	//
	// A port that is bound by number is lost to every other program of the
	// host as long as it has a connection or a TIME_WAIT. So FixedPorts must lie
	// outside the system's range (net.ipv4.ip_local_port_range) or be reserved
	// (net.ipv4.ip_local_reserved_ports); else the first dial fails with a
	// [*FieldError], as it does if Ports or Net.LocalAddr is set as well, and on
	// other systems than Linux. Where the source address depends on what
	// Net.Control sets, as on a mark or a device, name it in Sources.
	// If zero, the kernel chooses.
	FixedPorts PortRange

	// UserTimeout bounds how long sent data may stay unacknowledged before the
	// kernel gives the connection up (TCP_USER_TIMEOUT, in steps of a
	// millisecond; Linux). It also ends a healthy connection whose peer does
	// not read for that long.
	// If zero, it is not set.
	UserTimeout time.Duration

	// Meter counts the connections.
	// If nil, they are not counted.
	Meter *metrics.Meter

	// Logger is told, once, what the system does not have, and which Sources
	// disappear and come back.
	// If nil, the Dialer is silent.
	Logger *slog.Logger

	closer linger.Closer // serves where Linger is nil
	once   sync.Once
	err    error // of the fields

	sources   sources
	rangeless atomic.Bool // the system has no IP_LOCAL_PORT_RANGE
	told      sync.Once   // what it does not have
}

// check reports a field that cannot be used, once for all dials but for what
// may change.
func (d *Dialer) check() error {
	d.once.Do(func() { d.err = d.checkFields() })
	if d.err != nil || len(d.Sources) == 0 {
		return d.err
	}
	return d.sources.checkLocal(d.Sources)
}

func (d *Dialer) checkFields() error {
	if d.UserTimeout < 0 {
		return &FieldError{Field: "UserTimeout", Value: d.UserTimeout}
	}
	if err := d.checkSources(); err != nil {
		return err
	}
	if err := d.checkPorts(); err != nil {
		return err
	}
	if err := d.checkFixedPorts(); err != nil {
		return err
	}
	d.checkKernel()
	if d.Meter != nil {
		if err := d.Meter.Check(); err != nil {
			return err
		}
	}
	return d.Closer().Policy.Check()
}

// A FieldError says which field of a Dialer cannot be used. It unwraps to Err.
type FieldError struct {
	Field string
	Value any   // of a list, the one that it is about
	Err   error // why; nil: the value says it
}

func (e *FieldError) Error() string {
	s := "invalid Dialer." + e.Field + ": " + fmt.Sprint(e.Value)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns e.Err.
func (e *FieldError) Unwrap() error { return e.Err }

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
// A field of the Dialer that cannot be used over TCP is a [*FieldError] or a
// [*linger.PolicyError]; other errors are the net package's. Where the system
// says of a TCP connection no more than that an address cannot be assigned or is
// in use, or that there is no route, the error is an [*Error] that says why. It
// unwraps to the net package's.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if isTCP(network) {
		if err := d.check(); err != nil {
			return nil, fmt.Errorf("dialer: %w", err)
		}
	}
	note := birth.Of(ctx)
	host := d.host(note, address)
	a := attempt{d: d, note: note}
	if !isTCP(network) {
		return a.count(host, func() (net.Conn, error) { return d.Net.DialContext(ctx, network, address) })
	}
	c, err := a.count(host, func() (net.Conn, error) { return a.dial(ctx, network, address) })
	if err != nil {
		return nil, err
	}
	conn := d.Closer().Conn(c.(*net.TCPConn))
	var account linger.Account
	switch {
	case note.Account != nil:
		account = note.Account(conn)
	case host != nil:
		life := host.Born(true)
		life.SetAddrs(conn.LocalAddr(), conn.RemoteAddr())
		life.SetDialed(metrics.Asked)
		account = life
	}
	if account = a.account(conn, account); account != nil {
		conn.SetAccount(account)
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
