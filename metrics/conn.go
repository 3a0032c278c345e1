package metrics

import "github.com/lastack/lastack/linger"

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

	// guarded by host.mu
	place  place
	rested bool   // it was resting when it left
	inWait bool   // TimeWait has been called
	reason string // the first that was given; or ""
}

var _ linger.Account = (*Conn)(nil)

type place uint8

const (
	busy place = iota
	resting
	leaving
	ended
)

// Rest says that the connection serves no request any more and is kept.
func (c *Conn) Rest() {
	h := c.host
	h.mu.Lock()
	if c.place == busy {
		c.place = resting
		h.busy--
		h.resting++
	}
	h.mu.Unlock()
}

// Busy says that the connection serves a request.
func (c *Conn) Busy() {
	h := c.host
	h.mu.Lock()
	if c.place == resting {
		c.place = busy
		h.resting--
		h.busy++
	}
	h.mu.Unlock()
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
		if c.place == ended {
			h.countReason(Closed, -1)
		}
		h.countReason(reason, 1)
	}
	c.leave()
	rested := c.rested
	h.mu.Unlock()

	if !first || h.multiplexed.Load() {
		return
	}
	switch {
	case rested && endedByPeer(reason):
		h.feed.add(event{at: h.now(), ghost: &h.ghost, kind: serverCloses})
	case !rested && endsExchange(reason):
		h.feed.add(event{at: h.now(), ghost: &h.ghost, kind: spoiled})
	}
}

// leave moves the connection from busy or resting to leaving. The host's mu
// must be held.
func (c *Conn) leave() {
	h := c.host
	switch c.place {
	case busy:
		h.busy--
	case resting:
		h.resting--
		c.rested = true
	default:
		return
	}
	c.place = leaving
	h.leaving++
}

// Closing says that the connection has been closed and that its farewell
// begins.
func (c *Conn) Closing() {
	c.host.mu.Lock()
	c.leave()
	c.host.mu.Unlock()
}

// Ended says how the connection ended, and whether its farewell was cut short.
// A connection that nobody gave a reason for counts as "closed".
func (c *Conn) Ended(e linger.Ending, hurried bool) {
	h := c.host
	if int(e) >= len(h.ended) {
		e = linger.Unknown
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.place == ended {
		return
	}
	c.leave()
	c.place = ended
	h.leaving--
	h.ended[e]++
	if hurried {
		h.hurried.Add(1)
	}
	if c.reason == "" {
		h.countReason(Closed, 1)
	}
}

// TimeWait says that the kernel was seen to hold a TIME_WAIT for the
// connection.
func (c *Conn) TimeWait() {
	h := c.host
	h.mu.Lock()
	first := !c.inWait
	c.inWait = true
	h.mu.Unlock()
	if first {
		h.inWait.Add(1)
	}
}
