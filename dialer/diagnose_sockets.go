package dialer

import (
	"math"
	"net/netip"
	"time"

	"github.com/lastack/lastack/internal/procfs"
	"github.com/lastack/lastack/internal/sockdiag"
)

// timeWaitLen is how long a TIME_WAIT lasts: TCP_TIMEWAIT_LEN, which Linux has
// no setting for.
const timeWaitLen = 60 * time.Second

// staleAfter is for how long a connection may be in CLOSE_WAIT before that is
// suspected to be for ever.
const staleAfter = 5 * time.Second

const (
	numStates = 16 // room for any
	stateMask = numStates - 1
)

// sockets are what is found out about the sockets of the namespace.
type sockets struct {
	reserved  procfs.Ports
	listening map[uint16]bool
	byState   [numStates]int
	routes    map[pair]*route
	spare     []route
	bound     []boundSource
	held      []held                   // by processes
	heard     map[uint32]time.Duration // by inode, of those in CLOSE_WAIT
}

// A pair is a source address and a destination, among which ports are shared.
type pair struct {
	from netip.Addr
	to   netip.AddrPort
}

// A route is the connections of a pair, from ports of the range.
type route struct {
	pair
	used     int
	byState  [numStates]int32
	reusable int
	next     time.Duration                       // until the first TIME_WAIT ends
	last     time.Duration                       // until they all have
	ends     [timeWaitLen/time.Second + 1]uint16 // how many do in each second; there are no more ports than that holds
}

// held is a connection that a process holds.
type held struct {
	inode     uint32
	uid       uint32
	closeWait bool
	endUnread bool
	route     *route // if its port is of the range
}

// note takes a connection to the accounts.
func (d *diagnosis) note(k sockdiag.Socket) {
	s := &d.sockets
	var r *route
	if d.counts(k.Local.Port()) && k.Remote.Port() != 0 {
		p := pair{k.Local.Addr(), k.Remote}
		if r = s.routes[p]; r == nil {
			r = s.newRoute(p)
		}
		r.used++
		r.byState[k.State&stateMask]++
		if k.State == sockdiag.TimeWait {
			r.timeWait(min(max(k.Expires, 0), timeWaitLen), d.lendsAfter(p))
		}
	}
	if k.Inode != 0 {
		closeWait := k.State == sockdiag.CloseWait
		s.held = append(s.held, held{k.Inode, k.UID, closeWait, closeWait && k.Unread > 0, r})
	}
}

// counts reports whether the port is one of those in [PortBudget.Usable]. Who
// binds to another by number takes nothing away from them, as Dialer.FixedPorts
// does with reserved ones.
func (d *diagnosis) counts(port uint16) bool {
	return d.inRange(port) && !d.sockets.listening[port] && !d.sockets.reserved.Contains(port)
}

// newRoute adds a route. There may be as many as sockets, so they are made by
// the hundred.
func (s *sockets) newRoute(p pair) *route {
	if len(s.spare) == 0 {
		s.spare = make([]route, min(1+len(s.routes), 256))
	}
	r := &s.spare[0]
	s.spare = s.spare[1:]
	r.pair = p
	s.routes[p] = r
	return r
}

// timeWait takes a TIME_WAIT to the account that ends after the given time.
func (r *route) timeWait(ends, lentAfter time.Duration) {
	if r.last == 0 {
		r.next = ends
	}
	r.next = min(r.next, ends)
	r.last = max(r.last, ends)
	r.ends[(ends+time.Second-1)/time.Second]++
	if timeWaitLen-ends > lentAfter {
		r.reusable++
	}
}

// never is longer than anything lasts here.
const never = time.Duration(math.MaxInt64)

// lendsAfter returns how old a TIME_WAIT of the pair has to be for the kernel to
// lend its port to a new connection, or never.
func (d *diagnosis) lendsAfter(p pair) time.Duration {
	loopback := p.from.IsLoopback() || p.to.Addr().IsLoopback()
	switch reuse := d.system.values[twReuse]; {
	case d.system.values[timestamps] == 0, reuse == 0, reuse == 2 && !loopback:
		return never
	}
	if delay, ok := d.system.values[twReuseDelay]; ok {
		return time.Duration(delay) * time.Millisecond
	}
	return time.Second
}

// free returns how many ports a route has not taken, and left those that a new
// connection can have.
func (d *diagnosis) free(r *route) int { return max(0, d.Ports.Usable-r.used) }
func (d *diagnosis) left(r *route) int { return d.free(r) + r.reusable }

// destination is what is reported of a route.
func (d *diagnosis) destination(r *route) Destination {
	dst := Destination{
		Source: r.from, Address: r.to,
		Used:               r.used,
		States:             make(map[string]int),
		Free:               d.free(r),
		Reusable:           r.reusable,
		TimeWaits:          int(r.byState[sockdiag.TimeWait]),
		NextFreeSeconds:    seconds(r.next),
		AllFreeSeconds:     seconds(r.last),
		TimeWaitsPerSecond: r.perSecond(),
		OutInSeconds:       -1,
	}
	for state, n := range r.byState {
		if n > 0 {
			dst.States[sockdiag.State(state).String()] = int(n)
		}
	}
	if dst.TimeWaits > 0 {
		dst.HalfFreeSeconds = min(float64(r.until((dst.TimeWaits+1)/2)), dst.AllFreeSeconds)
	}
	if dst.Free == 0 && dst.Reusable == 0 {
		dst.OutInSeconds = 0
	} else if d.lendsAfter(r.pair) == never {
		dst.OutInSeconds = r.outIn(dst.Free, dst.TimeWaitsPerSecond)
	}
	return dst
}

func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

// until returns after how many seconds n TIME_WAITs have ended.
func (r *route) until(n int) int {
	for second, ending := range &r.ends {
		if n -= int(ending); n <= 0 {
			return second
		}
	}
	return len(r.ends) - 1
}

// perSecond returns how fast TIME_WAITs are being made.
func (r *route) perSecond() float64 {
	made := func(within int) float64 { // seconds
		n := 0
		for _, ending := range r.ends[len(r.ends)-within:] {
			n += int(ending)
		}
		return float64(n) / float64(within)
	}
	return min(made(5), made(30))
}

// outIn returns after how many seconds the free ports are taken by TIME_WAITs
// that are made at such a rate, while those of now end; or -1.
func (r *route) outIn(free int, perSecond float64) float64 {
	if perSecond == 0 {
		return -1
	}
	ended := 0
	for second, ending := range &r.ends {
		// Those that end during this second may do so at its end.
		if perSecond*float64(second) >= float64(free+ended) {
			return float64(second)
		}
		ended += int(ending)
	}
	return -1
}
