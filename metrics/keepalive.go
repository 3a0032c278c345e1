package metrics

import (
	"sync/atomic"
	"time"
)

// A KeepAlive is how long a server keeps a connection that rests, as far as is
// known.
type KeepAlive struct {
	Timeout time.Duration `json:"timeout"` // in nanoseconds; 0: not known
	Learned bool          `json:"learned"` // from when it closed; else it said so
}

// KeepAlive says what is known by now of how long the server keeps a connection
// that rests. It takes no lock.
func (h *Host) KeepAlive(k KeepAlive) {
	n := int64(max(0, k.Timeout))
	if k.Learned {
		n = -n
	}
	h.keepAlive.n.Store(n)
}

// A keepAlive is a KeepAlive in one word: the nanoseconds, negative if they were
// learned.
type keepAlive struct{ n atomic.Int64 }

func (k *keepAlive) known() bool { return k.n.Load() != 0 }

func (k *keepAlive) read() KeepAlive {
	n := k.n.Load()
	return KeepAlive{Timeout: time.Duration(max(n, -n)), Learned: n < 0}
}
