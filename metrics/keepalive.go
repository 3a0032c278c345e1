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

// Rested says that a connection has rested for so long and that its server had not
// closed it. The ghosts claim a TIME_WAIT for a connection that they close for its
// age at rest only where that is about as long as they keep it: else its server
// might have closed it first. It takes no lock, and next to nothing when nothing
// new is said.
func (h *Host) Rested(d time.Duration) {
	for longest := &h.keepAlive.rested; ; {
		n := longest.Load()
		if int64(d) <= n || longest.CompareAndSwap(n, int64(d)) {
			return
		}
	}
}

// A keepAlive is what is known of a server's patience.
type keepAlive struct {
	n      atomic.Int64 // a KeepAlive in one word: the nanoseconds, negative if they were learned
	rested atomic.Int64 // what it has borne, in nanoseconds
}

// bears reports whether the server was seen to keep connections for about so
// long. A pool's own limits have a jitter of a tenth.
func (k *keepAlive) bears(d int64) bool { return k.rested.Load() >= d-d/10 }

func (k *keepAlive) known() bool { return k.n.Load() != 0 }

func (k *keepAlive) read() KeepAlive {
	n := k.n.Load()
	return KeepAlive{Timeout: time.Duration(max(n, -n)), Learned: n < 0}
}
