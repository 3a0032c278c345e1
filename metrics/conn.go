package metrics

import (
	"cmp"
	"sync/atomic"
	"time"

	"github.com/lastack/lastack/internal/witness"
	"github.com/lastack/lastack/linger"
)

// A Conn is the account of one connection's life, from [Host.Born]:
//
//	busy ⇄ resting → leaving → ended
//
// Its methods may be called in any order and by several goroutines at a time:
// a call that does not fit where the connection is by now does nothing, so the
// connection is counted in one place at any moment. It is the
// [linger.Account] of the connection.
type Conn struct {
	host *Host

	// place goes between busy and resting at any time; otherwise it changes
	// only while host.mu is held.
	place atomic.Uint32

	// guarded by host.mu
	rested   bool   // it was resting when it left
	timeWait bool   // TimeWait has been called
	reason   string // the first that was given; or ""
	missed   string // the reason for which the next dial is said to be; or ""

	record
}

var _ linger.Account = (*Conn)(nil)

const (
	busy uint32 = iota
	resting
	leaving
	ended
)

// Rest says that the connection serves no request any more and is kept.
func (c *Conn) Rest() {
	if c.place.CompareAndSwap(busy, resting) {
		c.host.live.Add(oneResting - oneBusy)
	}
	if c.uses.open.Load() {
		c.uses.end(c.host.now())
	}
}

// Busy says that the connection serves a request.
func (c *Conn) Busy() {
	if c.place.CompareAndSwap(resting, busy) {
		c.host.live.Add(oneBusy - oneResting)
	}
}

// Leave says that the connection will not serve any more, and why. The first
// reason given counts. One that is given only after [Conn.Ended] takes the
// place of "closed".
func (c *Conn) Leave(reason string) {
	h := c.host
	h.mu.Lock()
	first := c.reason == "" && reason != ""
	if first {
		c.reason = reason
		switch c.place.Load() {
		case ended:
			h.countReason(c.missed, -1)
			fallthrough
		case leaving:
			if c.missed == Closed {
				c.missed = reason
				h.gaps.correct(Closed, reason)
			}
		}
		h.countReason(reason, 1)
	}
	c.leave()
	rested := c.rested
	h.mu.Unlock()

	switch {
	case !first:
	case rested && endedByPeer(reason):
		h.tell(h.now(), serverCloses)
	case !rested && endsExchange(reason):
		h.tell(h.now(), spoiled)
	}
}

// Retire says that the connection will be given to no further request, and why:
// from now on it is missing, and dials are for it. It may still serve; [Conn.Leave]
// is to follow when it does not. One that is [Upgraded] serves until it is closed,
// and any other pool would have been without it.
func (c *Conn) Retire(reason string) {
	h := c.host
	h.mu.Lock()
	if c.reason == "" && c.missed == Closed {
		// Its end came first, and for no reason that was known.
		c.missed = reason
		h.gaps.correct(Closed, reason)
		if c.place.Load() == ended {
			h.countReason(Closed, -1)
			h.countReason(reason, 1)
		}
	}
	c.miss(reason)
	h.mu.Unlock()
	if reason == Upgraded {
		h.tell(h.now(), spoiled)
	}
}

// miss has the next dial be for the connection. The host's mu must be held.
func (c *Conn) miss(reason string) {
	if c.missed == "" {
		c.missed = reason
		c.host.gaps.left(reason)
	}
}

// leave moves the connection from busy or resting to leaving. The host's mu
// must be held.
func (c *Conn) leave() {
	h := c.host
	for {
		from := c.place.Load()
		if from == leaving || from == ended {
			return
		}
		if !c.place.CompareAndSwap(from, leaving) {
			continue // it came to rest, or got busy
		}
		h.leaving++
		if from == busy {
			h.live.Add(-oneBusy)
		} else {
			h.live.Add(-oneResting)
			c.rested = true
		}
		c.left = h.moment()
		c.miss(cmp.Or(c.reason, Closed))
		return
	}
}

// Closing says that the connection has been closed and that its farewell
// begins.
func (c *Conn) Closing() {
	c.host.mu.Lock()
	c.leave()
	c.closed = c.host.moment()
	c.host.mu.Unlock()
}

// Ended says how the connection ended, and whether its farewell was cut short.
// A connection that nobody gave a reason for counts as "closed", or as what
// [Conn.Retire] was told.
func (c *Conn) Ended(e linger.Ending, hurried bool) {
	h := c.host
	if int(e) >= len(h.ended) {
		e = linger.Unknown
	}
	h.mu.Lock()
	if c.place.Load() == ended {
		h.mu.Unlock()
		return
	}
	c.leave()
	c.place.Store(ended)
	h.leaving--
	h.ended[e]++
	if hurried {
		h.hurried.Add(1)
	}
	if c.reason == "" {
		h.countReason(c.missed, 1)
	}
	c.gone, c.ending = h.moment(), e
	closed := cmp.Or(c.closed, c.gone)
	life, took := closed-c.born, time.Duration(c.gone-closed)
	own := c.own
	h.mu.Unlock()
	h.meter.ours.end(own, time.Now(), took)
	h.times.life.record(lifeScale, life)
	h.times.perConn.record(perConnScale, int64(c.requests.Load()))
	h.meter.flight.end(c)
	if o := h.meter.Observer; o != nil {
		o.Ended(c.tale())
	}
}

// TimeWait says that the kernel was seen to hold a TIME_WAIT for the
// connection.
func (c *Conn) TimeWait() {
	h := c.host
	h.mu.Lock()
	first := !c.timeWait
	c.timeWait = true
	if first {
		h.recent.add(h.now())
	}
	own := c.own
	local, remote := c.local, c.remote
	h.mu.Unlock()
	if first {
		h.meter.ours.count(own, time.Now())
		h.timeWaits.Add(1)
		witness.Tell(witness.Counted, local, remote)
	}
}
