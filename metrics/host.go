package metrics

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/lastack/lastack/linger"
)

// A Host is the ledger of one destination; [Meter.Host] makes it. Its methods
// may be called by several goroutines at a time. They take some ten
// nanoseconds; the one request in a hundred that lets the ghosts catch up takes
// some microseconds.
type Host struct {
	name  string
	meter *Meter

	requests, done, retries   atomic.Uint64 // begun, of those ended
	waits, waited, timeouts   atomic.Uint64 // begun, ended, of those given up
	leasedNew, leasedReused   atomic.Uint64
	dials, dialed, dialErrors atomic.Uint64 // started, finished, of those failed
	unmanaged, hurried        atomic.Uint64
	leaks, held               atomic.Uint64
	timeWaits                 atomic.Uint64
	multiplexed               atomic.Bool
	times                     recorders
	keepAlive                 keepAlive

	_ [64]byte // what requests move apart from what they count

	// live has the busy and the resting connections in one word, so that a
	// connection moves from one to the other at once and without a lock.
	live atomic.Int64

	// mu guards the rest, and every change to the sum in live: so a Snapshot
	// balances even while connections move. It is taken after a pool's own, and
	// no other is after it.
	mu      sync.Mutex
	born    uint64
	leaving int64
	ended   [16]uint64 // by linger.Ending
	recent  minute     // TIME_WAITs
	reasons map[string]uint64
	dialled map[string]uint64 // by reason
	gaps    gaps
	sites   leakSites

	ghost *hostGhost // guarded by feed.sim.mu
}

// The units of Host.live.
const (
	oneBusy    = 1
	oneResting = 1 << 32
)

// Request counts one request, however many attempts it takes. It must be
// followed by one [Host.Done].
func (h *Host) Request() { h.requests.Add(1) }

// Done says that a request is over: its response has been read or closed, or it
// has failed.
func (h *Host) Done() { h.done.Add(1) }

// Retry counts one more attempt to send a request.
func (h *Host) Retry() { h.retries.Add(1) }

// Wait counts a request for which no connection was free at once. It must be
// followed by one [Host.Waited].
func (h *Host) Wait() { h.waits.Add(1) }

// Waited says that a request waits no longer: how long it did, and why for
// nothing, if it was. GaveUp says that the request did not wait for the
// outcome: its context had ended.
func (h *Host) Waited(took time.Duration, gaveUp bool, err error) {
	if gaveUp {
		h.timeouts.Add(1)
	}
	h.times.wait.record(dialScale, int64(took))
	h.waited.Add(1)
	if o := h.meter.Observer; o != nil {
		o.Waited(h.name, took, err)
	}
}

// Lease counts a request that was given a connection at that time, and says
// whether the connection had served another before. Each Lease must be followed
// by one [Host.Return].
//
// The time is the caller's, who most often knows it: to read the clock costs
// more than all the rest. It must be one that [time.Now] has returned.
func (h *Host) Lease(at time.Time, reused bool) {
	if reused {
		h.leasedReused.Add(1)
	} else {
		h.leasedNew.Add(1)
	}
	h.tell(h.since(at), leased)
}

// Return says that a request has needed its connection no longer since that
// time, whatever becomes of the connection, and when it was given to
// [Host.Lease]; zero: not known. When the request is what ended the connection,
// [Conn.Leave] comes first.
func (h *Host) Return(at, leased time.Time) {
	h.tell(h.since(at), returned)
	if leased.IsZero() {
		return
	}
	used := at.Sub(leased)
	h.times.use.record(useScale, int64(used))
	if o := h.meter.Observer; o != nil {
		o.Used(h.name, used)
	}
}

// Multiplexed says that connections to this host carry several requests at a
// time, as HTTP/2 and gRPC do. From then on the ghosts claim nothing for its
// requests, because any client would have shared connections. It cannot be
// taken back, and costs next to nothing when repeated.
func (h *Host) Multiplexed() {
	if !h.multiplexed.Load() {
		h.multiplexed.Store(true)
	}
}

// DialStart counts a dial and returns why there is one. The caller says [AllBusy]
// for a request that waits, and [Spare], [Warm] or [Asked] where none does; for
// the first two it is told which connection's leaving has made the dial
// necessary, if one's has, or that the host is [Cold]. Where the dial is for a
// connection that has not left yet, it says for which reason that one will.
// DialStart must be followed by one [Host.DialDone].
func (h *Host) DialStart(reason string) (why string) {
	h.dials.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	why = h.gaps.why(reason, h.born == 0)
	count(&h.dialled, why, 1)
	return why
}

// DialDone says how a dial has come out. Its Reason is what DialStart returned,
// and its Total has all handshakes that a request had to wait for.
func (h *Host) DialDone(d Dial) {
	if d.Err != nil {
		h.dialErrors.Add(1)
		h.mu.Lock()
		h.gaps.failed(d.Reason)
		h.mu.Unlock()
	} else {
		h.tell(int64(d.Total), dialed)
	}
	h.times.dialed(d)
	h.dialed.Add(1)
	if o := h.meter.Observer; o != nil {
		o.Dialed(h.name, d)
	}
}

// Born counts a connection and returns its account. It begins busy. A
// connection is managed when its ending is known and done without TIME_WAIT;
// one that is not, such as a connection that is no *net.TCPConn, counts as
// unmanaged as well.
func (h *Host) Born(managed bool) *Conn {
	if !managed {
		h.unmanaged.Add(1)
	}
	c := &Conn{host: h}
	c.born = h.now()
	h.mu.Lock()
	h.born++
	h.live.Add(oneBusy)
	h.mu.Unlock()
	h.meter.flight.begin(c)
	return c
}

// tell lets the ghosts know, unless they claim nothing for h anyhow.
func (h *Host) tell(at int64, k kind) {
	if !h.multiplexed.Load() {
		h.meter.feed.add(event{at: at, ghost: h.ghost, kind: k})
	}
}

// now is the time of an event: what has passed since the Meter began. It reads
// the monotonic clock only, which costs half of what time.Now does.
func (h *Host) now() int64 { return int64(time.Since(h.meter.start)) }

// since is the time of an event at t.
func (h *Host) since(t time.Time) int64 { return int64(t.Sub(h.meter.start)) }

// countReason adds n to the count of a reason. h.mu must be held.
func (h *Host) countReason(reason string, n int) { count(&h.reasons, reason, n) }

// count adds n to the count of a reason, of which the map has not too many.
func count(reasons *map[string]uint64, reason string, n int) {
	if *reasons == nil {
		*reasons = make(map[string]uint64)
	}
	if _, ok := (*reasons)[reason]; !ok && len(*reasons) >= maxReasons {
		reason = overflowName
	}
	(*reasons)[reason] += uint64(n)
}

// split returns what Host.live counts. A connection that one goroutine moves
// while another lets it leave is for an instant subtracted where it has not
// been added yet; it is then taken from where it still is.
func split(live int64) (busy, resting int64) {
	busy = int64(int32(live))
	resting = (live - busy) >> 32
	switch {
	case busy < 0:
		return 0, resting + busy
	case resting < 0:
		return busy + resting, 0
	}
	return busy, resting
}

// read fills in the accounts of h but for its ghosts, and adds what its maps
// count to those of total.
func (h *Host) read(s, total *Snapshot, b *bounds) {
	// What happens second is read first, so that nothing seems to have ended
	// before it began.
	dialed, reused := h.dialed.Load(), h.leasedReused.Load()
	done, waited, timeouts := h.done.Load(), h.waited.Load(), h.timeouts.Load()
	s.Reused, s.Leases = reused, reused+h.leasedNew.Load()
	s.Requests = h.requests.Load()
	s.DialErrors = h.dialErrors.Load()
	s.Dials = h.dials.Load()
	s.Waits = h.waits.Load()
	s.Retries = h.retries.Load()
	s.Unmanaged = h.unmanaged.Load()
	s.Hurried = h.hurried.Load()
	s.Leaks = h.leaks.Load()
	s.HeldBodies = h.held.Load()
	s.TimeWaits = h.timeWaits.Load()
	s.Timeouts = timeouts
	s.Ended = make(map[linger.Ending]uint64)
	s.Reasons = make(map[string]uint64)
	s.DialedBy = make(map[string]uint64)
	s.Dialing = int64(s.Dials - dialed)
	s.Active = int64(s.Requests - done)
	s.Waiting = int64(s.Waits - waited)
	h.times.read(s, b)

	h.mu.Lock()
	defer h.mu.Unlock()
	s.Born, s.Leaving = h.born, h.leaving
	s.Standing = h.recent.read(h.now())
	s.Busy, s.Resting = split(h.live.Load())
	for e, n := range h.ended {
		if n > 0 {
			s.Ended[linger.Ending(e)] = n
			total.Ended[linger.Ending(e)] += n
		}
	}
	for reason, n := range h.reasons {
		if n > 0 {
			s.Reasons[reason] = n
			total.Reasons[reason] += n
		}
	}
	for reason, n := range h.dialled {
		s.DialedBy[reason] = n
		total.DialedBy[reason] += n
	}
	s.LeakedAt = h.sites.list()
}
