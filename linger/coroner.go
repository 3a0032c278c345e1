package linger

import (
	"context"
	"slices"
	"time"

	"github.com/lastack/lastack/internal/sockdiag"
	"github.com/lastack/lastack/internal/witness"
)

// An inquest finds out how one closed connection has really ended.
type inquest struct {
	conn    *Conn
	ending  Ending // expected
	hurried bool
	look    bool // the kernel must be asked
	several bool // it speaks Multipath TCP: its paths go on for a while after the close
	rtt     time.Duration

	since    time.Time     // of the close
	due      time.Time     // of the next look
	delay    time.Duration // before the look after that
	reported bool
}

const (
	firstLook = time.Millisecond
	lastDelay = 500 * time.Millisecond

	// reportAfter is when a connection whose FIN the peer has not acknowledged
	// is reported as it is expected to end. It is looked at until forgetAfter,
	// so that a TIME_WAIT that comes late is still counted.
	reportAfter = 2 * time.Second
	forgetAfter = 65 * time.Second
)

// A coroner is the one goroutine of a Closer that looks up closed connections
// and reports their endings. It runs while there is something to look up.
type coroner struct { // guarded by Closer.mu
	inbox   []inquest
	wake    chan struct{} // not nil while the goroutine runs
	gone    chan struct{} // closed when the goroutine ends
	dismiss bool          // forget what has been reported already
}

// settle hands a connection whose last descriptor has been closed to the coroner.
func (cl *Closer) settle(c *Conn, q inquest) {
	q.conn = c
	q.since = time.Now()
	q.delay = max(firstLook, q.rtt)
	q.due = q.since
	if q.look {
		q.due = q.since.Add(q.delay)
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	co := &cl.coroner
	co.inbox = append(co.inbox, q)
	if co.wake == nil {
		co.wake, co.gone = make(chan struct{}, 1), make(chan struct{})
		co.dismiss = false
		go cl.investigate(co.wake, co.gone)
		return
	}
	select {
	case co.wake <- struct{}{}:
	default:
	}
}

// dismiss ends the coroner once everything has been reported.
func (cl *Closer) dismiss(ctx context.Context) error {
	cl.mu.Lock()
	wake, gone := cl.coroner.wake, cl.coroner.gone
	if wake == nil {
		cl.mu.Unlock()
		return nil
	}
	cl.coroner.dismiss = true
	cl.mu.Unlock()
	select {
	case wake <- struct{}{}:
	default:
	}
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// investigate is the coroner's goroutine.
func (cl *Closer) investigate(wake, gone chan struct{}) {
	defer close(gone)
	var (
		open  []inquest
		diag  *sockdiag.Conn
		timer = time.NewTimer(0)
	)
	defer func() {
		timer.Stop()
		if diag != nil {
			diag.Close()
		}
	}()
	for {
		cl.mu.Lock()
		open = append(open, cl.coroner.inbox...)
		clear(cl.coroner.inbox)
		cl.coroner.inbox = cl.coroner.inbox[:0]
		if cl.coroner.dismiss {
			open = slices.DeleteFunc(open, func(q inquest) bool { return q.reported && q.forget() })
		}
		if len(open) == 0 {
			cl.coroner.wake = nil // under the lock that settle takes: nothing is missed
			cl.mu.Unlock()
			return
		}
		cl.mu.Unlock()

		if diag == nil {
			diag, _ = sockdiag.Open() // without it, what is expected is reported
		}
		now := time.Now()
		next := now.Add(forgetAfter)
		kept := open[:0]
		for _, q := range open {
			if !q.due.After(now) && cl.examine(&q, diag, now) {
				continue
			}
			kept = append(kept, q)
			if q.due.Before(next) {
				next = q.due
			}
		}
		clear(open[len(kept):])
		open = kept

		if len(open) == 0 {
			continue
		}
		timer.Reset(time.Until(next))
		select {
		case <-wake:
		case <-timer.C:
		}
	}
}

// examine looks at one connection and reports whether the case is closed.
func (cl *Closer) examine(q *inquest, diag *sockdiag.Conn, now time.Time) bool {
	v := verdict{ending: q.ending, final: true}
	switch {
	case !q.look:
	case diag == nil || !q.conn.local.IsValid():
		v.timeWait = q.ending == LocalFirst // the kernel does not tell
	default:
		sock, found, err := diag.Find(q.conn.local, q.conn.remote)
		if err != nil {
			v.timeWait = q.ending == LocalFirst
		} else {
			v = judge(q.ending, sock, found)
			if q.several && found && sock.State == sockdiag.Established {
				v = verdict{ending: q.ending}
			}
		}
	}
	if v.timeWait {
		witness.Tell(witness.TimeWait, q.conn.local, q.conn.remote)
		if q.conn.account != nil {
			q.conn.account.TimeWait()
		}
	}
	age := now.Sub(q.since)
	if !q.reported && (v.final || age >= reportAfter) {
		q.reported = true
		cl.exit(q.conn, v.ending, q.hurried)
	}
	q.delay = min(2*q.delay, lastDelay)
	q.due = now.Add(q.delay)
	return v.final || age >= forgetAfter && q.forget()
}

// forget gives up looking. It reports true.
func (q *inquest) forget() bool {
	witness.Tell(witness.Forgotten, q.conn.local, q.conn.remote)
	return true
}

// A verdict is what one look in the kernel says of an ending.
type verdict struct {
	ending   Ending
	timeWait bool // the kernel holds a TIME_WAIT
	final    bool // nothing further will happen
}

// judge tells how a connection that was expected to end in a certain way has
// ended, from what the kernel still has of it.
func judge(expected Ending, sock sockdiag.Socket, found bool) verdict {
	if found {
		switch sock.State {
		case sockdiag.TimeWait:
			// Where FIN-then-reset was expected, the FINs have crossed.
			return verdict{LocalFirst, true, true}
		case sockdiag.FinWait2:
			// Without a descriptor it is a TIME_WAIT already by the kernel's
			// book: the same small socket, and counted as one. With one, it is
			// on its way to that, or to its reset.
			if sock.Mini() {
				return verdict{LocalFirst, true, true}
			}
			return verdict{ending: expected}
		case sockdiag.FinWait1, sockdiag.Closing, sockdiag.LastAck:
			return verdict{ending: expected}
		}
	}
	if expected == LocalFirst {
		// It is gone, or its 4-tuple serves another connection by now: the
		// peer has reset it after our FIN.
		return verdict{ending: FinReset, final: true}
	}
	return verdict{ending: expected, final: true}
}
