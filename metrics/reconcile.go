package metrics

import "time"

// A Reconciliation holds our accounts against the kernel's: whether it says
// the same of the TIME_WAITs that our connections left. It is of the whole
// network namespace, others' sockets included, and of the time since the
// Meter's first connection.
type Reconciliation struct {
	// Checked says that the kernel was asked. It is false on systems other
	// than Linux, where the rest is zero.
	Checked bool `json:"checked"`

	// Agrees says that nothing contradicts our accounts: every TIME_WAIT that
	// stands on a 4-tuple that was ours is one that we counted, and the kernel
	// has created no fewer than we count. Why says what does not agree.
	Agrees bool   `json:"agrees"`
	Why    string `json:"why,omitempty"`

	// Created is the kernel's own count of TIME_WAITs in this namespace, and
	// Counts whether this kernel counts them when they are created; older
	// ones count when they expire.
	Created uint64 `json:"created"`
	Counts  bool   `json:"counts"`

	// Ours and Others are the TIME_WAITs that stand now, on 4-tuples that were
	// this Meter's and on others.
	Ours   int `json:"ours"`
	Others int `json:"others"`

	At time.Time `json:"at"`
}
