package dialer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/lastack/lastack/internal/procfs"
	"github.com/lastack/lastack/internal/sockdiag"
	"github.com/lastack/lastack/internal/sockopt"
	"github.com/lastack/lastack/linger"
)

const (
	// quarantine is how long a fixed port rests after its connection has ended.
	// The peer's timestamps tell old segments from new ones only once its clock
	// has ticked, for which RFC 7323 allows a second (section 5.4, appendix
	// B.2). The kernel waits as long (net.ipv4.tcp_tw_reuse_delay), but not for
	// who binds to the port.
	quarantine = time.Second

	// maxPortWait is how long a dial waits for a port: for a connection that has
	// been closed to end, and then for the quarantine.
	maxPortWait = 2 * quarantine

	// maxPortLooks bounds the ports that are looked at for one socket, at some
	// 30 µs each: another process may have many of them, such as the one that
	// this takes the place of.
	maxPortLooks = 1024

	// maxRedials bounds the dials of an attempt whose port the kernel has
	// refused after all. The net package makes three of each.
	maxRedials = 2
)

// checkFixedPorts reports what would not work or would harm others.
func (d *Dialer) checkFixedPorts() error {
	r := d.FixedPorts
	if r == (PortRange{}) {
		return nil
	}
	fail := func(format string, args ...any) error {
		return &FieldError{"FixedPorts", r, fmt.Errorf(format, args...)}
	}
	switch {
	case runtime.GOOS != "linux" || sockopt.Portable.Load():
		return &FieldError{"FixedPorts", r, errors.ErrUnsupported}
	case r.Lo == 0 || r.Hi < r.Lo:
		return fail("no range of ports")
	case d.Ports != PortRange{}:
		return fail("Ports is set as well")
	case d.Net.LocalAddr != nil:
		return fail("Net.LocalAddr is set as well: give its address in Sources")
	}
	system, err := procfs.LocalPorts()
	if err != nil {
		return fail("the system's range of local ports is not known: %w", err)
	}
	if both := (procfs.Range{Lo: max(r.Lo, system.Lo), Hi: min(r.Hi, system.Hi)}); both.Lo <= both.Hi {
		reserved, err := procfs.ReservedPorts()
		if err != nil {
			return fail("the system's reserved ports are not known: %w", err)
		}
		if reserved.Within(both) < both.Len() {
			return fail("%v of it is in the system's own range (net.ipv4.ip_local_port_range), where a port that was bound by number is lost to all other programs: take it out of that, or reserve it (net.ipv4.ip_local_reserved_ports)", both)
		}
	}
	if err := canLookUp(); err != nil {
		return fail("the kernel does not tell of its sockets: %w", err)
	}
	return nil
}

// canLookUp tells a kernel that knows no connection with some addresses from
// one that never knows any, which answers the same.
func canLookUp() error {
	diag, err := sockdiag.Open()
	if err != nil {
		return err
	}
	defer diag.Close()
	return diag.Each(sockdiag.Listen.Mask(), func(sockdiag.Socket) bool { return false })
}

// A noPortError says that no fixed port is ready.
type noPortError struct{ last error } // of binding to one, or nil

func (e *noPortError) Error() string {
	if e.last != nil {
		return "no fixed port is ready: " + e.last.Error()
	}
	return "no fixed port is ready"
}

func (e *noPortError) Unwrap() error { return e.last }

// A choice is how to choose a fixed port for a socket.
type choice struct {
	look func(local, remote netip.AddrPort) (sockdiag.Socket, bool, error)
	bind func(local netip.AddrPort) error
	wary bool // of a TIME_WAIT that is not ours: it may have no timestamps
}

// lease takes a port of the way, waits for it until the latest time, looks
// whether the kernel has something there that must not be disturbed, and binds
// the socket to it. Where that is not to be it goes on to the next one.
func (c choice) lease(ctx context.Context, r *rings, w way, latest time.Time) (*lease, error) {
	none := new(noPortError)
	for range maxPortLooks {
		l, news := r.take(w, time.Now(), latest)
		for l == nil {
			// What comes back rests first.
			if news == nil || !await(ctx, news, latest.Add(-quarantine)) {
				return nil, cmp.Or(ctx.Err(), error(none))
			}
			l, news = r.take(w, time.Now(), latest)
		}
		if await(ctx, nil, l.ready); ctx.Err() != nil {
			err := ctx.Err()
			l.unused()
			return nil, err
		}
		sock, found, err := c.look(l.local(), l.to)
		if err != nil {
			l.unused()
			return nil, err
		}
		if found {
			if c.wary && l.ready.IsZero() && sock.State == sockdiag.TimeWait {
				l.bare = true // its neighbour had none
			}
			if again := l.after(sock); again > 0 {
				l.giveBack(time.Now().Add(again), l.bare)
				continue
			}
		}
		switch err = c.bind(l.local()); {
		case err == nil:
			return l, nil
		case errors.Is(err, syscall.EADDRINUSE):
			none.last = err
			l.used()
		default:
			l.unused()
			return nil, err
		}
	}
	return nil, none
}

// after returns for how long the port must still rest: zero if the connection
// that the kernel has there may be replaced. Nothing but a TIME_WAIT may: to
// replace a FIN_WAIT2, whose peer has not ended yet, would reset it.
func (s slot) after(sock sockdiag.Socket) time.Duration {
	switch {
	case sock.State != sockdiag.TimeWait:
		return quarantine
	case s.bare:
		return max(sock.Expires, time.Millisecond)
	}
	// It may have been something else until just now.
	return max(0, quarantine-(timeWaitFor-sock.Expires))
}

// await waits for news until the time, and reports whether there were any.
func await(ctx context.Context, news <-chan struct{}, until time.Time) bool {
	wait := time.Until(until)
	if wait <= 0 {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-news:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// latest returns until when a dial waits for a port. If that would be too late
// for it, it does not wait at all.
func latest(ctx context.Context, now time.Time) time.Time {
	at := now.Add(maxPortWait)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(at) {
		return deadline
	}
	return at
}

// bindFixed binds the socket to a fixed port. It first looks for one that is
// ready at any source, and then waits for one.
func (a *attempt) bindFixed(ctx context.Context, c syscall.RawConn, t try) error {
	d := a.d
	sourced := len(d.Sources) > 0
	if !sourced {
		source, err := probe(t.to)
		if err != nil {
			return inner(err)
		}
		t.bound = netip.AddrPortFrom(source, 0)
	}
	var diag lookup
	defer diag.close()
	if err := c.Control(func(fd uintptr) { diag.device = sockopt.DeviceFD(fd) }); err != nil {
		return err
	}
	how := choice{look: diag.find, bind: func(local netip.AddrPort) error {
		var berr error
		if err := c.Control(func(fd uintptr) { berr = sockopt.BindPortFD(fd, local) }); err != nil {
			return err
		}
		return berr
	}}
	sources := max(1, len(d.Sources))
	var none, last error
	now := time.Now()
	until, end := now, latest(ctx, now)
	for i := range 2 * sources {
		if i >= sources {
			diag.close()
			until = end // for all of them together
		}
		source, ok := a.begin(t, sourced)
		if !ok {
			return &net.AddrError{Err: "no source address of its family", Addr: t.to.String()}
		}
		if !sourced {
			source = t.bound.Addr()
		}
		how.wary = a.isWary()
		l, err := how.lease(ctx, &fixedRings, way{use{source, t.from(source)}, d.FixedPorts}, until)
		if err == nil {
			if sourced {
				d.sources.works(source, d.Logger)
			}
			return a.hold(l, t.to)
		}
		if _, ok := errors.AsType[*noPortError](err); ok {
			none = err
			continue
		}
		last = err
		if !sourced || !errors.Is(err, syscall.EADDRNOTAVAIL) {
			return err
		}
		d.sources.putAside(source, d.Logger)
	}
	return cmp.Or(none, last) // a port may come back sooner than an address
}

func (a *attempt) isWary() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.wary
}

// inner returns the error of a system call without what the net package has put
// around it, as it will again.
func inner(err error) error {
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		return sys
	}
	return err
}

// hold notes the port of the socket that is next to be connected to the address.
func (a *attempt) hold(l *lease, to netip.AddrPort) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.done {
		for i := range a.tries {
			if t := &a.tries[i]; t.to == to && !t.failed {
				t.lease, t.bound = l, l.local()
				return nil
			}
		}
	}
	l.unused()
	return context.Canceled // the dial is over
}

// refused gives back at once the port of a connection that the peer has refused:
// it has nothing of it.
func (a *attempt) refused(err error) {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || !errors.Is(err, syscall.ECONNREFUSED) {
		return
	}
	for _, t := range a.triesTo(targetOf(op)) {
		if t.lease != nil {
			t.lease.giveBack(time.Now(), t.lease.bare)
		}
	}
}

// A lookup asks the kernel for connections, and has what it takes for that while
// it is needed.
type lookup struct {
	diag   *sockdiag.Conn
	device uint32 // on which they are, by its number; or 0
}

func (u *lookup) find(local, remote netip.AddrPort) (sock sockdiag.Socket, found bool, err error) {
	if u.diag == nil {
		if u.diag, err = sockdiag.Open(); err != nil {
			return sock, false, err
		}
	}
	return u.diag.FindOn(u.device, local, remote)
}

func (u *lookup) close() {
	if u.diag != nil {
		u.diag.Close()
		u.diag = nil
	}
}

// A tenancy is the account of a connection that has a fixed port.
type tenancy struct {
	*lease
	told linger.Account // or nil
}

func (t *tenancy) Closing() {
	t.end()
	if t.told != nil {
		t.told.Closing()
	}
}

// Ended comes when the last descriptor is closed, and mostly when the kernel
// has sent and received all that there was.
func (t *tenancy) Ended(e linger.Ending, hurried bool) {
	t.used()
	if t.told != nil {
		t.told.Ended(e, hurried)
	}
}

func (t *tenancy) TimeWait() {
	if t.told != nil {
		t.told.TimeWait()
	}
}

// settle has the connection give the port back: when it has ended, or when it
// was forgotten unclosed.
func (l *lease) settle(c *linger.Conn, told linger.Account) linger.Account {
	l.bare = true // unless seen otherwise
	if raw, err := c.SyscallConn(); err == nil {
		if info, err := sockopt.ReadInfo(raw); err == nil {
			l.bare = !info.Timestamps
		}
	}
	runtime.AddCleanup(c, (*lease).used, l)
	return &tenancy{l, told}
}
