package metrics

import "sync"

const (
	// batch is how many events the ghost is given at a time.
	batch = 256

	// maxBacklog is how many events may wait while the ghost is at work.
	// Beyond it, those who bring more wait for it.
	maxBacklog = 16 * batch
)

type kind uint8

const (
	leased       kind = iota // a request got a connection
	returned                 // a request gave its connection back
	spoiled                  // the next connection that is given back is of no use
	dialed                   // a dial succeeded; at is how long it took
	serverCloses             // the server closed a connection that rested
	leavesNone               // connections closed first leave no TIME_WAIT
	drained                  // the next connection that is given back is of no use to net/http
)

// An event is what a ghost is told.
type event struct {
	at    int64 // nanoseconds since the Meter began
	ghost *hostGhost
	kind  kind
}

// A feed carries events to the ghost. Requests only append to a buffer, so that
// they hold a lock for nanoseconds; the one that fills the buffer lets the
// ghost work it off, while others fill the next. The zero value is ready.
type feed struct {
	mu  sync.Mutex
	buf []event // guarded by mu

	_ [64]byte // those who append don't share a cache line with the ghost

	// sim.mu is taken before mu, or with TryLock.
	sim struct {
		mu     sync.Mutex
		spare  []event // the other buffer
		ghosts ghosts
	}
}

// add appends an event. Events that reach add at the same time may be appended
// in either order.
func (f *feed) add(e event) {
	f.mu.Lock()
	f.buf = append(f.buf, e)
	n := len(f.buf)
	if n < batch {
		f.mu.Unlock()
		return
	}
	if f.sim.mu.TryLock() {
		f.work()
		f.sim.mu.Unlock()
		return
	}
	f.mu.Unlock()
	if n >= maxBacklog {
		f.settle(0, func(ghosts) {})
	}
}

// work lets the ghost have the buffered events. Both locks must be held; work
// releases mu as soon as it has the buffer.
func (f *feed) work() {
	if len(f.buf) == 0 {
		f.mu.Unlock()
		return
	}
	if cap(f.sim.spare) == 0 {
		f.sim.spare = make([]event, 0, batch)
	}
	f.buf, f.sim.spare = f.sim.spare[:0], f.buf
	f.mu.Unlock()
	for _, e := range f.sim.spare {
		f.sim.ghosts.step(e)
	}
}

// settle brings the ghost up to now and calls read while nothing changes it.
func (f *feed) settle(now int64, read func(ghosts)) {
	f.sim.mu.Lock()
	defer f.sim.mu.Unlock()
	f.mu.Lock()
	f.work()
	f.sim.ghosts.advance(now)
	read(f.sim.ghosts)
}
