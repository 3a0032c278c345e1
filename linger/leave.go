package linger

import (
	"syscall"

	"github.com/lastack/lastack/internal/sockopt"
)

// A way is how to end a connection.
type way uint8

const (
	wayPlain     way = iota
	wayFinReset      // FIN, then reset
	wayFinAwait      // FIN, then reset when the peer has closed too
	wayAbort         // reset
	wayPeer          // close after the peer
	waySparePeer     // reset after the peer
	wayDead          // close what has failed already
	wayWait          // for the peer, then look again
)

// A patience says whether the peer may be waited for.
type patience uint8

const (
	mayWait patience = iota
	mustNotWait
	hasWaited // as long as the Policy allows
)

// maxWord is as long as a goodbye gets, and a PING before it that nobody has
// answered: close_notify, or GOAWAY and PING. More than that on its way is data.
const maxWord = 128

// choose decides how to end a connection by what the kernel says, what the
// owner has told, and whether there is still time to wait for the peer.
func (p Policy) choose(info sockopt.Info, fact Fact, pat patience) way {
	if info.Known {
		switch info.State {
		case sockopt.CloseWait:
			switch quiet := info.Unread == 0 && info.Unsent == 0; {
			case fact == Broken && info.Unsent > 0:
				return wayAbort // the FIN would be another that nobody acknowledges
			case p.SparePeer && quiet:
				return waySparePeer
			case p.SparePeer && pat == mayWait && fact != Unsure:
				return wayWait // for our goodbye to be acknowledged, and theirs to be read
			}
			return wayPeer
		case sockopt.Closed:
			return wayDead
		case sockopt.FinWait1, sockopt.FinWait2:
			return wayPlain // the owner's CloseWrite was the first FIN
		}
	}
	if fact == Broken {
		return wayAbort
	}
	if fact.patient() && pat == mayWait {
		return wayWait
	}
	if fact == SaidGoodbye {
		fact = Unsure
	}
	if pat == hasWaited && info.Unsent > 0 && info.Unsent <= maxWord && (fact == Owed || fact == RestingHTTP2) {
		// Not even the peer's kernel has taken our goodbye, and nothing but
		// the goodbye can be lost: do not leave a FIN that nobody acknowledges.
		return wayAbort
	}
	if fact == parting {
		// The peer has been told and has had its time. What it was sent before
		// may still be unread, so only Abort goes on over unacknowledged data.
		if p.Fallback != Plain && (!info.Known || info.Unsent == 0 && info.Unread == 0) {
			return wayAbort
		}
		return wayPlain
	}
	complete := fact != Unsure || info.Known && info.PeerSpokeLast && info.Unsent == 0
	if fact == Unsure && info.Unread > 0 && pat == mayWait {
		// The kernel answers a close over unread data with a reset, which
		// could take from the peer what it has not read yet. Read it away.
		return wayWait
	}
	switch p.Fallback {
	case FinThenReset:
		if complete && info.Known {
			return wayFinReset
		}
	case Abort:
		switch {
		case info.Known && info.Unsent == 0 && info.Unread == 0,
			!info.Known && complete:
			return wayAbort
		case pat == mayWait && fact != Abandoned:
			return wayWait // for the acknowledgement
		case complete && info.Known:
			return wayFinReset
		}
	}
	return wayPlain
}

// mayVanish reports whether nobody needs what the peer has not acknowledged when
// the connection is closed: the rest of an exchange that was abandoned; or the
// FIN alone, where the end of the exchange does not depend on it.
func (f Fact) mayVanish(info sockopt.Info) bool {
	switch f {
	case Abandoned:
		return true
	case Complete, Owed, RestingHTTP2:
		return info.Known && info.Unsent == 0
	}
	return false
}

// leave ends the connection, or hands it to a farewell.
func (c *Conn) leave() error {
	if c.raw == nil {
		c.closer.settle(c, inquest{ending: Lost})
		return c.tcpConn.Close()
	}
	if c.lent.Load() {
		if c.preset {
			sockopt.SetFinReset(c.raw, false)
		}
		c.closer.settle(c, inquest{ending: Unknown})
		return c.tcpConn.Close()
	}
	info, err := sockopt.ReadInfo(c.raw)
	if err != nil {
		info = sockopt.Info{}
	}
	if info.State == sockopt.Established {
		c.silence.Store(int64(info.Silence))
	} else {
		c.silence.Store(-1)
	}
	p := c.closer.Policy.orDefault()
	pat := mayWait
	if p.wait() == 0 {
		pat = mustNotWait
	}
	w := c.choose(p, info, c.told(), pat)
	if c.sending && pat == mayWait && (w == wayFinAwait || w == wayAbort) {
		w = wayWait
	}
	hurried := false
	if w == wayWait {
		original := make(chan struct{})
		if c.beginFarewell(original) {
			defer close(original)
			return c.tcpConn.Close()
		}
		hurried = true
		w = c.choose(p, info, c.told(), mustNotWait)
	}
	q := c.prepare(c.raw, w, c.told(), info)
	q.hurried = hurried
	err = c.tcpConn.Close()
	c.closer.settle(c, q)
	return err
}

// prepare sets the options on the connection's last descriptor for closing it
// this way, and returns what to expect.
func (c *Conn) prepare(raw syscall.RawConn, w way, fact Fact, info sockopt.Info) inquest {
	q := inquest{rtt: info.RTT, several: sockopt.Multipath(raw)}
	switch w {
	case wayPeer, wayFinReset, wayPlain:
		if fact.mayVanish(info) {
			sockopt.CapUserTimeout(raw, c.closer.Policy.orDefault().orphanTime(info.RTT))
		}
	}
	if (w == wayPlain || w == wayFinReset || w == wayFinAwait) && sockopt.WillAbort(raw) {
		q.ending = Aborted // by the owner's SetLinger(0)
		return q
	}
	switch w {
	case wayPeer:
		q.ending = PeerFirst
	case waySparePeer:
		q.ending = PeerFirst
		sockopt.SetAbort(raw)
	case wayAbort:
		q.ending = Aborted
		if sockopt.SetAbort(raw) != nil {
			q.ending, q.look = LocalFirst, true
		}
	case wayDead:
		// Reset by the peer, unless the owner's CloseWrite came before the
		// peer's FIN: then a TIME_WAIT stands.
		q.ending, q.look = Lost, true
		if sockopt.PeerHadClosed(raw) {
			q.ending, q.look = PeerFirst, false // and it has reset what we said after that
		}
	case wayFinAwait:
		return c.prepareServed(raw, q, info)
	case wayFinReset:
		q.ending, q.look = FinReset, true
		if info.Unread > 0 {
			q.ending = Aborted // the kernel resets rather than send FIN
		}
		if !c.preset && sockopt.SetFinReset(raw, true) != nil {
			q.ending = LocalFirst
		}
	default:
		q.ending, q.look = LocalFirst, true
		if info.Unread > 0 {
			q.ending = Aborted
		}
		if c.preset {
			sockopt.SetFinReset(raw, false)
		}
	}
	return q
}
