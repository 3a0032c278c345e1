package metrics

import "time"

// An Observer is told what a [Meter] measures as it happens, for exporters
// that keep distributions of their own. Counters and gauges are better read
// from a [Snapshot].
//
// Its methods are called by the goroutines of the pool, several at a time, and
// never under a lock. They must not block. Host is the name given to
// [Meter.Host], or "_other".
type Observer interface {
	// Dialed says how a dial came out.
	Dialed(host string, d Dial)

	// Waited says for how long a request waited for a connection; err is nil
	// if it then got one.
	Waited(host string, d time.Duration, err error)

	// Used says for how long a request had its connection.
	Used(host string, d time.Duration)

	// Ended says how a connection's life was.
	Ended(l Life)
}

// A Dial is one attempt to get a connection. A phase that was not needed, or
// that another library does unseen, is zero.
type Dial struct {
	Reason string        // why, as given to Host.DialStart
	DNS    time.Duration // to find the addresses
	TCP    time.Duration // to connect
	TLS    time.Duration // for the handshake
	Total  time.Duration // until a request could use it
	Err    error         // nil: it succeeded
}
