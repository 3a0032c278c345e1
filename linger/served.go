package linger

import (
	"syscall"
	"time"

	"github.com/lastack/lastack/internal/sockopt"
)

const (
	// maxSlow bounds how long the farewell of an accepted connection follows a
	// client that reads slowly. After that the kernel delivers the rest alone.
	maxSlow = time.Minute

	// servedPoll is the first interval at which such a farewell looks for the
	// acknowledgement of the last byte, since the client may wait for the FIN
	// that follows it. It is looked for at maxServedPoll at least.
	servedPoll    = 100 * time.Microsecond
	maxServedPoll = 200 * time.Millisecond

	// A client that is still sending when its connection is closed is heard
	// until it has been quiet for a moment, because what comes after the FIN
	// is answered with a reset, which it may see before it has read the
	// response. net/http gives every such client as much as maxSending.
	quietMoment = 50 * time.Millisecond
	maxSending  = 500 * time.Millisecond
)

// choose decides how to end the connection. A server speaks last, and nothing
// ever answers what it said: its client's kernel may have it and its client
// may not, least of all where a proxy is between them. So nothing that Unsure
// or Complete say makes a reset safe, until the client closes too.
func (c *Conn) choose(p Policy, info sockopt.Info, fact Fact, pat patience) way {
	w := p.choose(info, fact, pat)
	if !c.served || p.Fallback != FinThenReset || info.State != sockopt.Established {
		return w
	}
	switch {
	case w != wayPlain && w != wayFinReset, fact == Abandoned:
		return w
	case info.Unread == 0 && info.Unsent == 0 && info.Window > 0:
		return wayFinAwait
	case pat == mayWait:
		return wayWait // for the acknowledgement, and for room for the FIN
	}
	return wayPlain
}

// prepareServed arms the kernel so that it sends FIN at the close and resets
// when the client has closed too.
func (c *Conn) prepareServed(raw syscall.RawConn, q inquest, info sockopt.Info) inquest {
	q.ending, q.look = LocalFirst, true
	if sockopt.SetDeaf(raw, true) != nil {
		return q
	}
	if sockopt.SetFinReset(raw, true) != nil {
		sockopt.SetDeaf(raw, false)
		return q
	}
	q.ending = FinReset
	if now, err := sockopt.ReadInfo(raw); err == nil && now.State == sockopt.CloseWait {
		// The client was faster. Hear it acknowledge our FIN.
		sockopt.SetDeaf(raw, false)
		sockopt.SetFinReset(raw, false)
		q.ending, q.look = PeerFirst, false
		return q
	}
	// What the client acknowledges is not heard, so the kernel would send FIN again
	// for as long as to a client that has gone.
	sockopt.CapUserTimeout(raw, c.closer.Policy.orDefault().orphanTime(info.RTT))
	return q
}

// firstPoll is the interval between a farewell's first looks.
func (c *Conn) firstPoll() time.Duration {
	if c.served {
		return servedPoll
	}
	return time.Millisecond
}

// nextPoll is the interval after one of this length. The client of an accepted
// connection, which may take a while to acknowledge, waits no more than a
// quarter longer for its FIN; thousands that read slowly are looked at seldom.
func (c *Conn) nextPoll(poll time.Duration) time.Duration {
	if c.served {
		return min(poll+poll/4, maxServedPoll)
	}
	return min(2*poll, maxPoll)
}
