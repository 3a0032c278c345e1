package linger

import (
	"syscall"
	"time"

	"github.com/lastack/lastack/internal/sockopt"
)

// A client is the peer of an accepted connection during its farewell. That of
// any other connection is nil, and no method does anything then.
type client struct {
	began time.Time
	heard time.Time // when it was last known to send; zero: not at all
	acked uint64    // as it had been when it was last asked about
}

// follow returns the peer's client.
func (c *Conn) follow(raw syscall.RawConn) *client {
	if !c.served {
		return nil
	}
	cl := &client{began: time.Now()}
	if info, err := sockopt.ReadInfo(raw); err == nil {
		cl.acked = info.Acked
	}
	if c.sending {
		cl.heard = cl.began
	}
	return cl
}

// sent notes that the client has sent something.
func (cl *client) sent() {
	if cl != nil {
		cl.heard = time.Now()
	}
}

// wait returns w, or wayWait if the client is still sending.
func (cl *client) wait(w way, fact Fact) way {
	if cl == nil || cl.heard.IsZero() || fact == Broken || w != wayFinAwait && w != wayAbort {
		return w
	}
	if now := time.Now(); now.Sub(cl.heard) < quietMoment && now.Sub(cl.began) < maxSending {
		return wayWait
	}
	return w
}

// reads reports whether the client has acknowledged more since it was last
// asked about, and may be waited for on.
func (cl *client) reads(info sockopt.Info) bool {
	if cl == nil {
		return false
	}
	more := info.Acked > cl.acked
	cl.acked = info.Acked
	return more && time.Since(cl.began) < maxSlow
}

// stem ends the connection of a client that sends more than is read away. Its
// FIN goes out now, and the window that closes stops the client. It has as much
// time as any client that sends to read what it was told, and then it is reset.
func (c *Conn) stem(cl *client, raw syscall.RawConn, info sockopt.Info) inquest {
	sockopt.CloseWriteDeaf(raw) // or the reset takes the place of the FIN
	timer := time.NewTimer(max(quietMoment, time.Until(cl.began.Add(maxSending))))
	defer timer.Stop()
	for {
		select {
		case <-c.news:
			if c.told() != Broken {
				continue
			}
		case <-timer.C:
		}
		return c.prepare(raw, wayAbort, Unsure, info)
	}
}
