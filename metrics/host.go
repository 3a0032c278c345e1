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
	name   string
	start  time.Time // of the Meter
	feed   *feed
	flight *flight

	requests, retries, waits  atomic.Uint64
	leasedNew, leasedReused   atomic.Uint64
	dials, dialed, dialErrors atomic.Uint64 // started, finished, of those failed
	unmanaged, hurried        atomic.Uint64
	leaks, held               atomic.Uint64
	timeWaits                 atomic.Uint64
	multiplexed               atomic.Bool

	_ [64]byte // what requests move apart from what they count

	// live has the busy and the resting connections in one word, so that a
	// connection moves from one to the other at once and without a lock.
	live atomic.Int64

	// mu guards the rest, and every change to the sum in live: so a Snapshot
	// balances even while connections move.
	mu      sync.Mutex
	born    uint64
	leaving int64
	ended   [16]uint64 // by linger.Ending
	recent  minute     // TIME_WAITs
	reasons map[string]uint64

	ghost *hostGhost // guarded by feed.sim.mu
}

// The units of Host.live.
const (
	oneBusy    = 1
	oneResting = 1 << 32
)

// Request counts one request, however many attempts it takes.
func (h *Host) Request() { h.requests.Add(1) }

// Retry counts one more attempt to send a request.
func (h *Host) Retry() { h.retries.Add(1) }

// Wait counts a request for which no connection was free at once.
func (h *Host) Wait() { h.waits.Add(1) }

// Leak counts a response body that its program has forgotten to close. The
// connection would have been lost to any other pool, so the ghosts do not get
// it back: Leak comes before the request's [Host.Return].
func (h *Host) Leak() {
	h.leaks.Add(1)
	if !h.multiplexed.Load() {
		h.feed.add(event{at: h.now(), ghost: h.ghost, kind: spoiled})
	}
}

// Held counts a response body that has been open for longer than it should.
func (h *Host) Held() { h.held.Add(1) }

// Lease counts a request that was given a connection, and says whether the
// connection had served another before. Each Lease must be followed by one
// [Host.Return].
func (h *Host) Lease(reused bool) {
	if reused {
		h.leasedReused.Add(1)
	} else {
		h.leasedNew.Add(1)
	}
	if !h.multiplexed.Load() {
		h.feed.add(event{at: h.now(), ghost: h.ghost, kind: leased})
	}
}

// Return says that a request needs its connection no longer, whatever becomes
// of the connection. When the request is what ended it, [Conn.Leave] comes
// first.
func (h *Host) Return() {
	if !h.multiplexed.Load() {
		h.feed.add(event{at: h.now(), ghost: h.ghost, kind: returned})
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

// DialStart counts a dial. It must be followed by one [Host.DialDone].
func (h *Host) DialStart() { h.dials.Add(1) }

// DialDone says that a dial has ended: how long it took, with all handshakes
// that a request had to wait for, and whether it failed.
func (h *Host) DialDone(took time.Duration, err error) {
	if err != nil {
		h.dialErrors.Add(1)
	} else if !h.multiplexed.Load() {
		h.feed.add(event{at: int64(took), ghost: h.ghost, kind: dialed})
	}
	h.dialed.Add(1)
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
	h.flight.begin(c)
	return c
}

// now is the time of an event: what has passed since the Meter began. It reads
// the monotonic clock only, which costs half of what time.Now does.
func (h *Host) now() int64 { return int64(time.Since(h.start)) }

// countReason adds n to the count of a reason. h.mu must be held.
func (h *Host) countReason(reason string, n int) {
	if h.reasons == nil {
		h.reasons = make(map[string]uint64)
	}
	if _, ok := h.reasons[reason]; !ok && len(h.reasons) >= maxReasons {
		reason = overflowName
	}
	h.reasons[reason] += uint64(n)
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

// snapshot returns the accounts of h but for its ghosts.
func (h *Host) snapshot() Snapshot {
	// What happens second is read first, so that nothing seems to have ended
	// before it began.
	dialed, reused := h.dialed.Load(), h.leasedReused.Load()
	s := Snapshot{
		Reused:     reused,
		Leases:     reused + h.leasedNew.Load(),
		Requests:   h.requests.Load(),
		DialErrors: h.dialErrors.Load(),
		Dials:      h.dials.Load(),
		Waits:      h.waits.Load(),
		Retries:    h.retries.Load(),
		Unmanaged:  h.unmanaged.Load(),
		Hurried:    h.hurried.Load(),
		Leaks:      h.leaks.Load(),
		HeldBodies: h.held.Load(),
		TimeWaits:  h.timeWaits.Load(),
		Ended:      make(map[linger.Ending]uint64),
		Reasons:    make(map[string]uint64),
	}
	s.Dialing = int64(s.Dials - dialed)

	h.mu.Lock()
	defer h.mu.Unlock()
	s.Born, s.Leaving = h.born, h.leaving
	s.Standing = h.recent.read(h.now())
	s.Busy, s.Resting = split(h.live.Load())
	for e, n := range h.ended {
		if n > 0 {
			s.Ended[linger.Ending(e)] = n
		}
	}
	for reason, n := range h.reasons {
		if n > 0 {
			s.Reasons[reason] = n
		}
	}
	return s
}
