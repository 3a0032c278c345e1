package netlab

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/sockdiag"
	"github.com/lastack/lastack/internal/witness"
)

// Books hold what we count against what the kernel holds: for every connection
// of this process that a linger.Closer ends, whichever test made it. A
// connection is known by its addresses, so that what stock clients and other
// processes leave in the same namespace is not mistaken for ours.
type books struct {
	mu    sync.Mutex
	diag  *sockdiag.Conn
	conns map[ends]*entry // the last connection between two addresses
	wrong []string        // what cannot come right any more
	waits int             // TIME_WAITs that we have seen, of all
	count int             // of those whose connection has a Meter, those that it counted
	meter int             // and those that it should have
}

type ends struct{ local, remote netip.AddrPort }

func (e ends) String() string { return fmt.Sprintf("%v to %v", e.local, e.remote) }

// An entry is what is known of a connection.
type entry struct {
	wrapped, ended, forgotten, timeWait, metered bool
	counted                                      int
}

// booksWait is how long a count may lag behind the kernel: a TIME_WAIT that comes
// after the ending was reported is looked for every half second.
const booksWait = 5 * time.Second

// openBooks opens them before the test begins, which may look for descriptors that
// it leaves open.
func openBooks(t testing.TB) *books {
	t.Helper()
	diag, err := sockdiag.Open()
	if err != nil {
		t.Fatalf("netlab: %v", err)
	}
	return &books{diag: diag}
}

// note takes in an event of a connection.
func (b *books) note(what witness.Event, local, remote netip.AddrPort) {
	if !local.IsValid() || !remote.IsValid() {
		return // it was closed before anybody asked
	}
	where := ends{zoneless(local), zoneless(remote)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if what == witness.Wrapped || b.conns[where] == nil {
		if b.conns == nil {
			b.conns = make(map[ends]*entry)
		}
		b.conns[where] = new(entry)
	}
	e := b.conns[where]
	switch what {
	case witness.Wrapped:
		e.wrapped = true
	case witness.Ended:
		e.ended = true
		if s, found := b.find(where); !e.timeWait && (!found || s.State == sockdiag.LastAck) {
			delete(b.conns, where) // a TIME_WAIT that is there later is that of the next connection
		}
	case witness.Forgotten:
		e.forgotten = true
	case witness.TimeWait:
		b.waits++
		if e.timeWait {
			b.wrong = append(b.wrong, fmt.Sprintf("a TIME_WAIT was seen twice: %v", where))
		}
		e.timeWait = true
		if e.metered {
			b.meter++
		}
		if s, found := b.find(where); !found || !isTimeWait(s) {
			b.wrong = append(b.wrong, fmt.Sprintf("a TIME_WAIT was seen that the kernel does not hold: %v", where))
		}
	case witness.Metered:
		e.metered = true
	case witness.Counted:
		if !e.wrapped {
			// A Meter is told by somebody who closes connections himself.
			if s, found := b.find(where); !found || !isTimeWait(s) {
				b.wrong = append(b.wrong, fmt.Sprintf("a TIME_WAIT was counted that the kernel does not hold: %v", where))
			}
			return
		}
		b.count++
		if e.counted++; e.counted > 1 || !e.timeWait || !e.metered {
			b.wrong = append(b.wrong, fmt.Sprintf("a TIME_WAIT was counted that nobody has seen, or twice: %v", where))
		}
	}
}

// zoneless returns the address as the kernel has it.
func zoneless(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// find asks the kernel for the socket between the addresses. The mu must be held.
func (b *books) find(where ends) (sockdiag.Socket, bool) {
	s, found, err := b.diag.Find(where.local, where.remote)
	return s, found && err == nil
}

// isTimeWait reports whether the kernel counts the socket as a TIME_WAIT. It
// does one in FIN_WAIT2 whose process has closed it.
func isTimeWait(s sockdiag.Socket) bool {
	return s.State == sockdiag.TimeWait || s.State == sockdiag.FinWait2 && s.Mini()
}

// check fails the test unless the books agree with the kernel, soon.
func (b *books) check(t testing.TB) {
	t.Helper()
	var differ []string
	if poll(booksWait, func() bool {
		differ = b.differences(t)
		return len(differ) == 0
	}) {
		return
	}
	slices.Sort(differ)
	const some = 10
	if n := len(differ); n > some {
		differ = append(differ[:some], fmt.Sprintf("and %d more", n-some))
	}
	for _, d := range differ {
		t.Errorf("netlab: our count of TIME_WAITs is not the kernel's: %s", d)
	}
}

// differences lists what we count and the kernel does not hold, and the other
// way round.
func (b *books) differences(t testing.TB) []string {
	t.Helper()
	var held []ends
	each(t, sockdiag.TimeWait.Mask()|sockdiag.FinWait2.Mask(), func(s sockdiag.Socket) {
		if isTimeWait(s) {
			held = append(held, ends{zoneless(s.Local), zoneless(s.Remote)})
		}
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	differ := slices.Clone(b.wrong)
	for _, where := range held {
		if e := b.conns[where]; e != nil && e.ended && !e.forgotten && !e.timeWait {
			differ = append(differ, fmt.Sprintf("the kernel holds one that was not seen: %v", where))
		}
	}
	if b.count != b.meter {
		differ = append(differ, fmt.Sprintf("%d were seen on connections with a Meter, and the Meters have counted %d", b.meter, b.count))
	}
	return differ
}
