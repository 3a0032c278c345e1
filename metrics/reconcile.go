package metrics

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/lastack/lastack/internal/procfs"
	"github.com/lastack/lastack/internal/sockdiag"
)

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

const (
	// patience is for how long a TIME_WAIT may stand without being counted:
	// package linger looks for it at least each half second.
	patience = 1200 * time.Millisecond

	lookAgain = 25 * time.Millisecond
)

// Reconcile asks the kernel for the TIME_WAITs of this network namespace, and
// notes what it says in the Snapshots that follow. It takes some milliseconds
// for each ten thousand sockets; or, where the kernel has more of ours than are
// counted, up to 1.2 seconds, in which they may be counted still. It returns an
// error if the kernel could not be asked or ctx has ended; on systems other than
// Linux it is [errors.ErrUnsupported]. A disagreement is no error.
//
// Of the 4-tuples of connections that have ended, the last 32,768 are known, for
// 65 seconds. Others may use one again, and leave a TIME_WAIT of theirs on it: one
// that begins more than a moment after our connection's end is taken to be
// theirs. FIN_WAIT2 without a process, of which the kernel makes the same
// small socket, counts as TIME_WAIT here as everywhere.
func (m *Meter) Reconcile(ctx context.Context) (Reconciliation, error) {
	began := time.Now()
	for {
		r, stray, err := m.look(ctx)
		if err != nil {
			return Reconciliation{}, fmt.Errorf("metrics: asking the kernel for TIME_WAITs: %w", err)
		}
		if len(stray) == 0 || r.At.Sub(began) >= patience {
			m.kernel.Store(&r)
			return r, nil
		}
		timer := time.NewTimer(lookAgain)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return Reconciliation{}, context.Cause(ctx)
		}
	}
}

// look asks the kernel once. Stray are the TIME_WAITs on our 4-tuples that are
// not counted.
func (m *Meter) look(ctx context.Context) (r Reconciliation, stray []pair, err error) {
	diag, err := sockdiag.Open()
	if err != nil {
		return r, nil, err
	}
	defer diag.Close()

	now := time.Now()
	q := query{ours: &m.ours, now: now}
	q.found = func(i int, c claim) {
		switch c {
		case others:
			r.Others++
		case claimed:
			stray = append(stray, q.pairs[i])
			fallthrough
		case counted:
			r.Ours++
		}
	}
	err = diag.Each(sockdiag.TimeWait.Mask()|sockdiag.FinWait2.Mask(), func(s sockdiag.Socket) bool {
		if s.Mini() {
			q.add(s)
		}
		return ctx.Err() == nil
	})
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return r, nil, err
	}
	q.flush()
	ours := m.timeWaits() // before the kernel's: it counts first
	created, counts, err := readCreated()
	if err != nil {
		return r, nil, err
	}
	r.Checked, r.At = true, now
	r.Counts = counts
	if before := m.before(); before >= 0 {
		r.Created = uint64(max(0, created-before))
	}
	var why []string
	if len(stray) > 0 {
		why = append(why, fmt.Sprintf("%d TIME_WAITs of ours are not counted, such as %v", len(stray), stray[0]))
	}
	if counts && m.before() >= 0 && ours > r.Created {
		why = append(why, fmt.Sprintf("%d are counted, but the kernel has created only %d", ours, r.Created))
	}
	r.Agrees, r.Why = len(why) == 0, strings.Join(why, "; ")
	return r, stray, nil
}

// timeWaits returns how many are counted.
func (m *Meter) timeWaits() (n uint64) {
	for _, h := range m.known().sorted {
		n += h.timeWaits.Load()
	}
	return n
}

// readCreated returns how many TIME_WAITs the kernel has counted in this network
// namespace, and whether it does so as it creates them. It did when they expire
// until Linux 5.18, whose tw_timer_handler leaves the counters alone.
func readCreated() (n int64, atCreation bool, err error) {
	c, err := procfs.ReadCounters()
	if err != nil {
		return 0, false, err
	}
	v, err := procfs.Kernel()
	if err != nil {
		return 0, false, err
	}
	// Those that are to last for four seconds or less are counted apart.
	return c["TcpExtTW"] + c["TcpExtTWKilled"], v.AtLeast(5, 18), nil
}

// before returns the kernel's count before the Meter's first connection, or less
// than zero if it is not known.
func (m *Meter) before() int64 {
	m.begin.Do(func() {
		n, _, err := readCreated()
		if err != nil {
			n = -1
		}
		m.createdBefore = n
	})
	return m.createdBefore
}

// lastReconciliation returns what [Meter.Reconcile] found last.
func (m *Meter) lastReconciliation() Reconciliation {
	if r := m.kernel.Load(); r != nil {
		return *r
	}
	return Reconciliation{}
}
