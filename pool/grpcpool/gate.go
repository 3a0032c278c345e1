package grpcpool

import (
	"context"
	"maps"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/lastack/lastack/internal/neterr"
)

const (
	// A channel of grpc-go waits for 0.8 s at least after a dial that failed. So
	// what one channel does alone is never held back, and however many there are,
	// an address that is down is dialled two or three times a second at most.
	gateFirst = 50 * time.Millisecond
	gateMax   = 800 * time.Millisecond

	// gateHung is how long one dial may keep others waiting: it may have met the
	// one dead path of several.
	gateHung = time.Second

	// maxOutages bounds the addresses that a gate remembers, and outageKept for
	// how long it does so when nobody dials them.
	maxOutages = 256
	outageKept = time.Minute
)

// A gate lets the channels of a pool dial. They know nothing of one another, and
// dial all at once when their server goes and again when it comes back; behind
// the gate they share what one has found out.
//
// While an address answers, the gate is open. Once it does not, dials to it fail
// at once, for a time that grows from one failure to the next. Then one dial
// tries, and those that come meanwhile wait for what it finds. When one
// succeeds, the gate is open again.
//
// The methods may be called concurrently.
type gate struct {
	recovered func() // or nil

	mu      sync.Mutex
	outages map[string]*outage // by address
}

// An outage is an address whose last dial has failed. It is guarded by the
// gate's mu.
type outage struct {
	failures int // in a row
	failedAt time.Time
	last     error     // why it did
	until    time.Time // until when dials fail at once
	trial    *trial    // in progress; or nil
}

// A trial is the one dial to an address that does not answer.
type trial struct {
	began time.Time
	over  chan struct{} // closed at the end
}

// newGate returns a gate. It calls recovered, if that is not nil, when an address
// answers again: what channels have put off, because they do not know it, can be
// done now. The dial that found out calls it, and returns after it.
func newGate(recovered func()) *gate {
	return &gate{recovered: recovered, outages: make(map[string]*outage)}
}

// dial returns what dial returns, or, where the gate is closed, a [*gateError].
func (g *gate) dial(ctx context.Context, address string, dial func(context.Context, string) (net.Conn, error)) (net.Conn, error) {
	tr, err := g.enter(ctx, address)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	c, err := dial(ctx, address)
	if g.leave(address, tr, began, err, err != nil && ended(ctx)) && g.recovered != nil {
		g.recovered()
	}
	return c, err
}

// enter waits until a dial may begin, and returns the trial that it is, or nil
// where the address is not known to fail.
func (g *gate) enter(ctx context.Context, address string) (*trial, error) {
	for {
		now := time.Now()
		g.mu.Lock()
		o := g.outages[address]
		if o == nil {
			g.mu.Unlock()
			return nil, nil
		}
		last, wait := o.last, time.Duration(0)
		running := o.trial
		if running != nil {
			wait = running.began.Add(gateHung).Sub(now)
		}
		switch {
		case now.Before(o.until):
			g.mu.Unlock()
			return nil, &gateError{last: last}
		case wait <= 0:
			tr := &trial{now, make(chan struct{})}
			o.trial = tr
			g.mu.Unlock()
			return tr, nil
		}
		g.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-running.over:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, &gateError{last: last, cause: context.Cause(ctx)}
		}
		timer.Stop()
	}
}

// leave takes in how a dial came out, and reports whether the address answers
// that did not before. One that was given up says nothing of the address.
func (g *gate) leave(address string, tr *trial, began time.Time, err error, givenUp bool) (recovered bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := g.outages[address]
	switch {
	case givenUp:
	case err == nil:
		recovered = o != nil
		delete(g.outages, address)
	default:
		if o == nil {
			o = new(outage)
			g.makeRoomLocked()
			g.outages[address] = o
		}
		o.failed(began, err)
	}
	if tr != nil {
		if o != nil && o.trial == tr {
			o.trial = nil
		}
		close(tr.over)
	}
	return recovered
}

// failed notes a dial that has failed. Those that were in progress together
// count as one.
func (o *outage) failed(began time.Time, err error) {
	now := time.Now()
	o.last = err
	if o.failures > 0 && began.Before(o.failedAt) {
		return
	}
	o.failedAt = now
	d := min(gateFirst<<min(o.failures, 16), gateMax)
	o.failures++
	o.until = now.Add(d - rand.N(d/2)) // the pools of other processes have failed at the same time
}

// makeRoomLocked forgets the addresses that nobody dials any more, and if all are
// in use, any.
func (g *gate) makeRoomLocked() {
	if len(g.outages) < maxOutages {
		return
	}
	old := time.Now().Add(-outageKept)
	maps.DeleteFunc(g.outages, func(_ string, o *outage) bool { return o.trial == nil && o.failedAt.Before(old) })
	for address := range g.outages {
		if len(g.outages) < maxOutages {
			return
		}
		delete(g.outages, address)
	}
}

// ended reports whether ctx has ended. The net package may see the deadline pass
// before the context does.
func ended(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// A gateError is the error of a dial that was not made, because the one before it
// had failed. It unwraps to that one's error, and is as temporary as that is.
type gateError struct {
	last  error
	cause error // of the end of a wait; or nil
}

func (e *gateError) Error() string {
	if e.cause != nil {
		return "waiting for another dial: " + e.cause.Error() + "; the last failed: " + e.last.Error()
	}
	return "not dialled again yet, the last dial failed: " + e.last.Error()
}

func (e *gateError) Unwrap() []error {
	if e.cause != nil {
		return []error{e.cause, e.last}
	}
	return []error{e.last}
}

// Timeout reports whether a wait or the last dial has timed out.
func (e *gateError) Timeout() bool {
	return neterr.Timeout(e.first())
}

// Temporary is what grpc-go asks the error of a dial, and if that has no such
// method, Timeout; whatever has neither is temporary.
func (e *gateError) Temporary() bool {
	switch err := e.first().(type) {
	case interface{ Temporary() bool }:
		return err.Temporary()
	case interface{ Timeout() bool }:
		return err.Timeout()
	}
	return true
}

// first returns the error that decides: that of the wait, if it ended it.
func (e *gateError) first() error {
	if e.cause != nil {
		return e.cause
	}
	return e.last
}
