package linger

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/lastack/lastack/internal/sockopt"
)

const (
	// maxFarewells bounds the farewells of one Closer that are under way at a
	// time, each of which holds a descriptor and a goroutine.
	maxFarewells = 4096

	// maxDiscard bounds what a farewell reads and throws away.
	maxDiscard = 256 << 10

	// maxPostponed bounds how long a close is put off for somebody who writes.
	maxPostponed = 30 * time.Second

	// maxPoll bounds the interval at which a farewell looks for what no event
	// tells: the acknowledgement of the last byte.
	maxPoll = 50 * time.Millisecond
)

var discardBuffers = sync.Pool{New: func() any { b := make([]byte, 4<<10); return &b }}

// beginFarewell duplicates the descriptor and starts the farewell on the
// duplicate. The caller closes the original, which gives everybody who is
// blocked on it net.ErrClosed from the standard library itself, and then closes
// the channel; the connection lives on until the duplicate is closed.
//
// It reports false if as many farewells as allowed are under way, or where a
// socket cannot be duplicated.
func (c *Conn) beginFarewell(original <-chan struct{}) bool {
	if !c.closer.tryWait() {
		return false
	}
	f, err := c.tcpConn.File()
	if err != nil {
		c.closer.doneWaiting()
		return false
	}
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		c.closer.doneWaiting()
		return false
	}
	c.mu.Lock()
	c.farewell = f
	c.mu.Unlock()
	go func() {
		q := c.sayFarewell(f, raw)
		c.mu.Lock()
		c.farewell = nil
		c.mu.Unlock()
		f.Close()
		c.closer.doneWaiting()
		// A peer may close at once, while Close still waits for readers to let
		// go of the original.
		<-original
		c.closer.settle(c, q)
	}()
	return true
}

// sayFarewell waits for the peer on the duplicate f, and prepares its close.
func (c *Conn) sayFarewell(f *os.File, raw syscall.RawConn) inquest {
	policy := c.closer.Policy.orDefault()
	deadline := time.Now().Add(policy.wait())
	var word *http2Word
	if c.told() == RestingHTTP2 {
		word = newHTTP2Word()
		f.SetWriteDeadline(deadline)
		if _, err := f.Write(word.message()); err != nil {
			word = nil // the peer's window is closed, or it has gone
		}
	}
	buf := discardBuffers.Get().(*[]byte)
	defer discardBuffers.Put(buf)

	pat := mayWait
	poll := c.firstPoll()
	client := c.follow(raw)
	for discarded := 0; ; {
		fact := c.awaitBy(f, deadline, poll)
		info, err := sockopt.ReadInfo(raw)
		if err != nil {
			info = sockopt.Info{}
		}
		if word != nil && fact == RestingHTTP2 && word.staysOpen() && info.Known && policy.Fallback != Plain {
			// Some peers acknowledge and then close at once, and the FINs
			// would cross: they are given a moment. Where the end would be a
			// TIME_WAIT they are given all the time: a busy one may be slow to
			// say that it leaves.
			deadline = word.moment(deadline)
			if fact = c.awaitBy(f, deadline, poll); !time.Now().Before(deadline) {
				fact = Complete
			}
		}
		if w := client.wait(c.choose(policy, info, fact, pat), fact); w != wayWait {
			if fact == Underway && pat == hasWaited {
				fact = Abandoned
			}
			if client != nil && w == wayPlain && info.Unread > 0 && info.State == sockopt.Established {
				return c.stem(client, raw, info)
			}
			return c.prepare(raw, w, fact, info)
		}
		if client != nil && info.Unread > 0 {
			f.SetReadDeadline(time.Now().Add(time.Second)) // not passed before the read begins
		}
		n, err := f.Read(*buf)
		discarded += n
		if word != nil {
			word.heard((*buf)[:n])
		}
		switch {
		case err == nil:
			client.sent()
			if discarded > maxDiscard {
				if client != nil {
					return c.stem(client, raw, info)
				}
				pat = mustNotWait
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
			if !time.Now().Before(deadline) {
				if client.reads(info) {
					deadline = time.Now().Add(policy.wait())
				} else {
					pat = hasWaited
				}
			}
			poll = c.nextPoll(poll)
		case err == io.EOF:
			if !info.Known {
				return inquest{ending: PeerFirst}
			}
			// The kernel now says CLOSE_WAIT. What is left to wait for is the
			// acknowledgement of our goodbye.
			<-time.After(poll / 16)
			if poll = min(2*poll, maxPoll); !time.Now().Before(deadline) {
				pat = hasWaited
			}
		default:
			return c.prepare(raw, wayDead, fact, info)
		}
	}
}

// awaitBy sets the time by which the next read of the farewell returns, and
// returns what the owner has told by then. It holds the lock that hasten
// takes, so that no Fact told meanwhile is slept over.
func (c *Conn) awaitBy(f *os.File, deadline time.Time, poll time.Duration) Fact {
	c.mu.Lock()
	defer c.mu.Unlock()
	fact := c.told()
	if by := time.Now().Add(poll); !fact.patient() && by.Before(deadline) {
		deadline = by
	}
	f.SetReadDeadline(deadline)
	return fact
}

// postpone puts the close off while somebody is still writing. It reports
// false if it can't.
func (c *Conn) postpone() bool {
	wait := c.closer.Policy.orDefault().wait()
	info, err := sockopt.ReadInfo(c.raw)
	if err != nil || wait == 0 || !c.closer.tryWait() {
		return false
	}
	go func() {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		end := time.Now().Add(maxPostponed)
		for acked := info.Acked; c.told() == Sending; acked = info.Acked {
			select {
			case <-c.news:
			case now := <-timer.C:
				if info, err = sockopt.ReadInfo(c.raw); err != nil || info.Acked == acked || now.After(end) {
					c.Sent(Abandoned)
				}
				timer.Reset(wait)
			}
		}
		c.closer.doneWaiting()
		c.leave()
	}()
	return true
}
