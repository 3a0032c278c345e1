package linger

import (
	"context"
	"fmt"
	"sync"

	"github.com/lastack/lastack/internal/witness"
)

// A Closer ends connections by its Policy and reports how each ended. It owns
// the goroutines that do so.
//
// The zero Closer is ready. It must not be copied, nor its fields changed,
// after first use. Its methods may be called concurrently.
type Closer struct {
	// Policy says how far an ending may go. An invalid one is reported by
	// Policy.Check, and by the first use that can return an error; connections
	// then end as under the zero Policy.
	Policy Policy

	// Ended, if not nil, is called once for each connection, off the caller's
	// goroutine. It must not block for long: the endings of the Closer's other
	// connections are reported after it.
	Ended func(Ending)

	mu      sync.Mutex
	leaving int           // connections that were closed and have not ended yet
	waiting int           // farewells among them
	none    chan struct{} // closed when leaving falls to 0; nil: nobody waits
	coroner coroner
}

// enter counts a connection that its owner has closed.
func (cl *Closer) enter() {
	cl.mu.Lock()
	cl.leaving++
	cl.mu.Unlock()
}

// exit reports a connection that has ended.
func (cl *Closer) exit(c *Conn, e Ending, hurried bool) {
	if c.account != nil {
		c.account.Ended(e, hurried)
	}
	if cl.Ended != nil {
		cl.Ended(e)
	}
	c.setEnded(e)
	witness.Tell(witness.Ended, c.local, c.remote)
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.leaving--
	if cl.leaving == 0 && cl.none != nil {
		close(cl.none)
		cl.none = nil
	}
}

// tryWait takes one of the places for farewells.
func (cl *Closer) tryWait() bool {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.waiting >= maxFarewells {
		return false
	}
	cl.waiting++
	return true
}

func (cl *Closer) doneWaiting() {
	cl.mu.Lock()
	cl.waiting--
	cl.mu.Unlock()
}

// Shutdown waits until every connection that was closed has ended and has been
// reported. It closes no connection itself, and the Closer stays usable: who
// owns the connections closes them first, as a server does in its own Shutdown.
//
// If ctx ends first, Shutdown returns an error that wraps its cause and says
// how many farewells it did not wait for; they go on within their bounds.
func (cl *Closer) Shutdown(ctx context.Context) error {
	for {
		cl.mu.Lock()
		left := cl.leaving
		if left > 0 && cl.none == nil {
			cl.none = make(chan struct{})
		}
		none := cl.none
		cl.mu.Unlock()
		if left == 0 {
			return cl.dismiss(ctx)
		}
		select {
		case <-none:
		case <-ctx.Done():
			return fmt.Errorf("linger: %d farewells are still under way: %w", left, context.Cause(ctx))
		}
	}
}
