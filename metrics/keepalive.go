package metrics

import "time"

// A KeepAlive is how long a server keeps a connection that rests, as far as is
// known.
type KeepAlive struct {
	Timeout time.Duration `json:"timeout"` // in nanoseconds; 0: not known
	Learned bool          `json:"learned"` // from when it closed; else it said so
}
