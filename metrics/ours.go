package metrics

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/lastack/lastack/internal/sockdiag"
)

const (
	// maxAlivePairs and maxGonePairs bound the connections whose 4-tuples are
	// remembered, those that are there and those that have ended. What exceeds
	// it counts as somebody else's.
	maxAlivePairs = 1 << 16
	maxGonePairs  = 1 << 15

	// remember is for how long a connection that has ended is remembered: a
	// TIME_WAIT lasts for 60 s, and the kernel is not in a hurry.
	remember = 65 * time.Second
)

// A pair is the 4-tuple of a connection: two addresses, without zones, which the
// kernel does not tell, and two ports. It is quicker to look up than they are.
type pair [36]byte

// pairOf returns the pair, and false if the addresses are none.
func pairOf(local, remote netip.AddrPort) (p pair, ok bool) {
	if !local.IsValid() || !remote.IsValid() {
		return pair{}, false
	}
	from, to := local.Addr().As16(), remote.Addr().As16()
	copy(p[:16], from[:])
	copy(p[16:32], to[:])
	binary.BigEndian.PutUint16(p[32:], local.Port())
	binary.BigEndian.PutUint16(p[34:], remote.Port())
	return p, true
}

// String returns "10.0.0.1:40000 → 10.0.0.2:443".
func (p pair) String() string {
	from, to := netip.AddrFrom16([16]byte(p[:16])).Unmap(), netip.AddrFrom16([16]byte(p[16:32])).Unmap()
	return fmt.Sprintf("%v → %v", netip.AddrPortFrom(from, binary.BigEndian.Uint16(p[32:])),
		netip.AddrPortFrom(to, binary.BigEndian.Uint16(p[34:])))
}

// Ours are the 4-tuples of a Meter's connections, of those that are there and
// those of whom a TIME_WAIT may still stand. The zero value is ready.
type ours struct {
	mu    sync.Mutex // nothing is taken under it
	pairs map[pair]*owned
	alive int
	gone  []*owned // by the time of their end, from first on
	first int
}

// An owned is what is known of one of these connections. It is guarded by the
// mu of ours.
type owned struct {
	pair    pair
	ended   time.Time // zero: it is there
	soon    bool      // it has ended within settled of its close: what there is to find out is known
	counted bool      // as a TIME_WAIT
}

// settled is how soon after its close a connection has ended of which the kernel
// has nothing more to say. Package linger reports one that the peer leaves without
// an answer after two seconds, and goes on looking.
const settled = 2 * time.Second

// left reports whether a socket that has been there since then may be what is left
// of the connection. Ports are used again at once, by whoever comes: what began
// when the connection had been gone for a while is somebody else's.
func (own *owned) left(began time.Time) bool {
	return own.ended.IsZero() || !own.soon || !began.After(own.ended.Add(patience))
}

// begin notes a connection. It returns nil if there are too many, or no
// addresses.
func (o *ours) begin(local, remote netip.AddrPort) *owned {
	p, ok := pairOf(local, remote)
	if !ok {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.alive >= maxAlivePairs {
		return nil
	}
	if o.pairs == nil {
		o.pairs = make(map[pair]*owned)
	}
	own := &owned{pair: p}
	o.alive++
	o.pairs[p] = own // what went before has ended: its 4-tuple is in use
	return own
}

// end notes the end of a connection, and how long that took from its close.
func (o *ours) end(own *owned, now time.Time, took time.Duration) {
	if own == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !own.ended.IsZero() {
		return
	}
	own.ended, own.soon = now, took < settled
	o.alive--
	o.gone = append(o.gone, own)
	o.forget(now)
}

// count notes that the connection's TIME_WAIT has been counted. One that was seen
// after the end is remembered from then on.
func (o *ours) count(own *owned, now time.Time) {
	if own == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	own.counted = true
	if !own.ended.IsZero() {
		late := *own
		late.ended = now
		if o.pairs[own.pair] == own || o.pairs[own.pair] == nil {
			o.pairs[own.pair] = &late
		}
		o.gone = append(o.gone, &late)
		o.forget(now)
	}
}

// forget drops those that ended too long ago, or are too many. o.mu must be held.
func (o *ours) forget(now time.Time) {
	for o.first < len(o.gone) {
		own := o.gone[o.first]
		if now.Sub(own.ended) < remember && len(o.gone)-o.first <= maxGonePairs {
			break
		}
		if o.pairs[own.pair] == own {
			delete(o.pairs, own.pair)
		}
		o.gone[o.first] = nil
		o.first++
	}
	if o.first > len(o.gone)/2 {
		n := copy(o.gone, o.gone[o.first:])
		clear(o.gone[n:])
		o.gone, o.first = o.gone[:n], 0
	}
}

// A claim is what a pair is to the Meter.
type claim uint8

const (
	others  claim = iota // it is none of its connections
	claimed              // it is, or was, and a TIME_WAIT of it is not counted
	counted              // it was, and its TIME_WAIT is counted
)

// atATime is how many pairs are looked up while the lock is held.
const atATime = 512

// A query looks up pairs, some at a time: those that a walk through the kernel's
// sockets brings are too many to be kept.
type query struct {
	ours  *ours
	now   time.Time
	found func(i int, c claim) // is told of the i-th pair since the last flush

	n     int
	pairs [atATime]pair
	began [atATime]time.Time // the socket has been there since then, or for longer
	is    [atATime]claim
}

// timeWaitLasts is the kernel's TCP_TIMEWAIT_LEN, which no setting changes. A
// FIN_WAIT2 without a process may be there for less, and then seems older than
// it is.
const timeWaitLasts = 60 * time.Second

// add looks up a socket's pair, now or soon, and reports its place.
func (q *query) add(s sockdiag.Socket) (i int) {
	if q.n == atATime {
		q.flush()
	}
	q.pairs[q.n], _ = pairOf(s.Local, s.Remote)
	switch {
	case s.Mini():
		q.began[q.n] = q.now.Add(s.Expires - timeWaitLasts)
	case s.State == sockdiag.SynSent, s.State == sockdiag.Established, s.State == sockdiag.CloseWait:
		q.began[q.n] = q.now // somebody has it open, and so it has not ended
	default:
		q.began[q.n] = time.Time{}
	}
	q.n++
	return q.n - 1
}

// flush looks up what was added.
func (q *query) flush() {
	o := q.ours
	o.mu.Lock()
	o.forget(q.now)
	for i := range q.n {
		switch own := o.pairs[q.pairs[i]]; {
		case own == nil:
			q.is[i] = others
		case own.counted:
			q.is[i] = counted
		case !own.left(q.began[i]):
			q.is[i] = others
		default:
			q.is[i] = claimed
		}
	}
	o.mu.Unlock()
	for i := range q.n {
		q.found(i, q.is[i])
	}
	q.n = 0
}
