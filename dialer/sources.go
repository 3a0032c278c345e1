package dialer

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lastack/lastack/linger"
)

const (
	// asideFor is how long a source that has disappeared is not tried while
	// there are others.
	asideFor = 5 * time.Second

	// timeWaitFor is how long Linux keeps a TIME_WAIT (TCP_TIMEWAIT_LEN).
	timeWaitFor = time.Minute
)

// sources knows how many local ports are taken of each source, per destination.
type sources struct {
	mu    sync.Mutex // nothing is called out to under it
	local bool       // all of them were addresses of this host once
	used  map[use]int
	aside map[netip.Addr]time.Time // those that have disappeared, until when they are not tried
	waits []timeWait               // the first to end first
	ended int                      // how many of waits have ended
}

// A use is what a connection takes a port of.
type use struct {
	source netip.Addr // not valid: none
	to     netip.AddrPort
}

type timeWait struct {
	use
	until time.Time
}

// checkSources reports what can never be a source.
func (d *Dialer) checkSources() error {
	if len(d.Sources) == 0 {
		return nil
	}
	if d.Net.LocalAddr != nil {
		return &FieldError{"Sources", d.Sources, errors.New("Net.LocalAddr is set as well")}
	}
	if runtime.GOOS == "windows" {
		return &FieldError{"Sources", d.Sources, errors.ErrUnsupported}
	}
	for i, s := range d.Sources {
		same := func(other netip.Addr) bool { return other.Unmap() == s.Unmap() }
		if !s.IsValid() || s.IsUnspecified() || s.IsMulticast() {
			return &FieldError{"Sources", s, errors.New("not the address of a host")}
		}
		if slices.ContainsFunc(d.Sources[:i], same) {
			return &FieldError{"Sources", s, errors.New("it is there twice")}
		}
	}
	return nil
}

// checkLocal reports an address that is not one of this host's, until all have
// been found to be.
func (s *sources) checkLocal(list []netip.Addr) error {
	s.mu.Lock()
	local := s.local
	s.mu.Unlock()
	if local {
		return nil
	}
	for _, source := range list {
		if err := isLocal(source); err != nil {
			return &FieldError{"Sources", source, fmt.Errorf("not an address of this host: %w", err)}
		}
	}
	s.mu.Lock()
	s.local = true
	s.mu.Unlock()
	return nil
}

// isLocal asks the kernel: it takes more addresses for its own than interfaces
// have. What else may keep a socket from being made is for the dial to say.
func isLocal(source netip.Addr) error {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0)))
	if err != nil {
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			return err
		}
		return nil
	}
	c.Close()
	return nil
}

// pick returns the source of to's family from which the fewest connections go
// there, and counts one more if it is to. One that has failed is taken only if
// all others have as often, and one that was put aside only if all others have
// failed.
// It returns false if there is none of that family.
func (s *sources) pick(list []netip.Addr, to netip.AddrPort, failed []netip.Addr, count bool, now time.Time) (netip.Addr, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	var (
		best     netip.Addr
		bestRank int
	)
	for _, source := range list {
		if source = source.Unmap(); source.Is4() != to.Addr().Is4() {
			continue
		}
		rank := s.used[use{source, to}]
		if until, ok := s.aside[source]; ok && now.Before(until) {
			rank += 1 << 20 // more than there are ports
		}
		for _, f := range failed {
			if f == source {
				rank += 1 << 21
			}
		}
		if !best.IsValid() || rank < bestRank {
			best, bestRank = source, rank
		}
	}
	if best.IsValid() && count {
		s.take(use{best, to})
	}
	return best, best.IsValid()
}

func (s *sources) take(u use) {
	if s.used == nil {
		s.used = make(map[use]int)
	}
	s.used[u]++
}

// release gives back what pick has counted.
func (s *sources) release(u use) {
	if !u.source.IsValid() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.giveBack(u)
}

func (s *sources) giveBack(u use) {
	if s.used[u]--; s.used[u] <= 0 {
		delete(s.used, u)
	}
}

// wait counts a TIME_WAIT for as long as the kernel keeps it.
func (s *sources) wait(u use, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(u)
	s.waits = append(s.waits, timeWait{u, now.Add(timeWaitFor)})
}

// expire forgets the TIME_WAITs that have ended.
func (s *sources) expire(now time.Time) {
	for s.ended < len(s.waits) && !now.Before(s.waits[s.ended].until) {
		s.giveBack(s.waits[s.ended].use)
		s.ended++
	}
	if s.ended > len(s.waits)/2 { // else a hundred thousand would be moved for each
		s.waits = slices.Delete(s.waits, 0, s.ended)
		s.ended = 0
	}
}

// putAside notes that a source is no address of this host now.
func (s *sources) putAside(source netip.Addr, log *slog.Logger) {
	now := time.Now()
	s.mu.Lock()
	_, known := s.aside[source]
	if s.aside == nil {
		s.aside = make(map[netip.Addr]time.Time)
	}
	s.aside[source] = now.Add(asideFor)
	s.mu.Unlock()
	if log != nil && !known {
		log.Warn("a source address has disappeared; it is put aside", "source", source)
	}
}

// works notes that a source is an address of this host.
func (s *sources) works(source netip.Addr, log *slog.Logger) {
	s.mu.Lock()
	_, back := s.aside[source]
	delete(s.aside, source)
	s.mu.Unlock()
	if back && log != nil {
		log.Info("a source address is back", "source", source)
	}
}

// A place is what a connection takes up at its source. It is given back once.
type place struct {
	use
	sources *sources
	left    atomic.Bool
}

func (p *place) release() {
	if p.left.CompareAndSwap(false, true) {
		p.sources.release(p.use)
	}
}

// An occupancy is the account of a connection that takes a port of a source.
type occupancy struct {
	*place
	told linger.Account // or nil
}

func (o *occupancy) Closing() {
	if o.told != nil {
		o.told.Closing()
	}
}

func (o *occupancy) Ended(e linger.Ending, hurried bool) {
	o.release()
	if o.told != nil {
		o.told.Ended(e, hurried)
	}
}

func (o *occupancy) TimeWait() {
	o.sources.wait(o.use, time.Now())
	if o.told != nil {
		o.told.TimeWait()
	}
}
