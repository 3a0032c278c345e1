package metrics

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// A reference is the model of ghost in its plainest form: everything that is
// to happen is one unsorted list, and everything that has to be found is
// searched for.
type reference struct {
	*ghost  // its settings only
	now     int64
	hosts   map[*hostGhost]*refHost
	pending []refPending // in the order in which they were added
	idle    []refIdle    // in the order in which they became idle
}

type refHost struct {
	of                 *hostGhost
	dialTime, lastDial int64
	running            []*refRequest // not ended, in order
	waiting            []*refRequest // without a connection, in order
	idle               []int64
	spoiled            int
	serverCloses       bool
	closed, perRequest uint64
	dials              uint64
}

type refRequest struct {
	began, wait, end    int64
	granted, ended, bad bool
}

type refPending struct {
	at   int64
	host *refHost
}

type refIdle struct {
	since int64
	host  *refHost
}

// newReferences returns one for each ghost.
func newReferences(gs ghosts) []*reference {
	var refs []*reference
	for _, g := range gs {
		refs = append(refs, &reference{ghost: g, hosts: map[*hostGhost]*refHost{}})
	}
	return refs
}

func (r *reference) String() string {
	return fmt.Sprintf("%s (%d a host, %d in all, for %v)", r.name, r.maxIdlePerHost, r.maxIdle, time.Duration(r.idleFor))
}

func (r *reference) host(h *hostGhost) *refHost {
	if r.hosts[h] == nil {
		r.hosts[h] = &refHost{of: h}
	}
	return r.hosts[h]
}

func (r *reference) step(e event) {
	h := r.host(e.ghost)
	if e.kind == dialed {
		if h.dialTime == 0 || e.at < h.dialTime {
			h.dialTime = max(e.at, 1)
		} else {
			h.dialTime = min(e.at, h.dialTime+h.dialTime/64)
		}
		return
	}
	r.advance(e.at)
	switch e.kind {
	case leased:
		q := &refRequest{began: r.now}
		h.running = append(h.running, q)
		r.lose(e.ghost)
		if n := len(h.idle); n > 0 {
			q.granted = true
			since := h.idle[n-1]
			h.idle = h.idle[:n-1]
			// The newest of the host is the last of its entries.
			for i := len(r.idle) - 1; i >= 0; i-- {
				if r.idle[i] == (refIdle{since, h}) {
					r.idle = slices.Delete(r.idle, i, i+1)
					break
				}
			}
			return
		}
		h.dials++
		h.waiting = append(h.waiting, q)
		h.lastDial = max(h.lastDial, r.now+h.dialTime)
		r.pending = append(r.pending, refPending{h.lastDial, h})
	case returned:
		if len(h.running) == 0 {
			return
		}
		q := h.running[0]
		h.running = h.running[1:]
		h.perRequest++
		q.ended, q.end = true, r.now
		if h.spoiled > 0 {
			h.spoiled--
			q.bad = true
		}
		r.release(h, q)
	case spoiled, drained:
		h.spoiled++
	case serverCloses:
		h.serverCloses = true
	}
}

func (r *reference) release(h *refHost, q *refRequest) {
	switch {
	case !q.granted || !q.ended || q.bad:
	case r.maxIdlePerHost < 0:
		h.closed++
	case q.end+q.wait > r.now:
		r.pending = append(r.pending, refPending{q.end + q.wait, h})
	default:
		r.free(h)
	}
}

func (r *reference) free(h *refHost) {
	if len(h.waiting) > 0 {
		q := h.waiting[0]
		h.waiting = h.waiting[1:]
		q.granted, q.wait = true, r.now-q.began
		r.release(h, q)
		return
	}
	r.lose(h.of)
	if len(h.idle) >= max(0, r.maxIdlePerHost) {
		h.closed++
		return
	}
	h.idle = append(h.idle, r.now)
	r.idle = append(r.idle, refIdle{r.now, h})
	if len(r.idle) > r.maxIdle {
		r.expireFirst(true)
	}
}

func (r *reference) expireFirst(tooMany bool) {
	h := r.idle[0].host
	if r.lose(h.of) {
		return
	}
	r.idle = r.idle[1:]
	h.idle = h.idle[1:]
	if seen := h.of.keeps.rested.Load(); !h.serverCloses && (tooMany || seen >= r.idleFor-r.idleFor/10) {
		h.closed++
	}
}

// lose forgets what the server has closed, and says whether there was any.
func (r *reference) lose(of *hostGhost) bool {
	h, kept := r.host(of), int64(of.keeps.read().Timeout)
	if kept == 0 {
		return false
	}
	gone := func(i refIdle) bool { return i.host == h && i.since+kept <= r.now }
	n := len(r.idle)
	r.idle = slices.DeleteFunc(r.idle, gone)
	h.idle = slices.DeleteFunc(h.idle, func(since int64) bool { return since+kept <= r.now })
	return len(r.idle) < n
}

func (r *reference) advance(now int64) {
	for {
		first := -1
		for i, p := range r.pending {
			if p.at <= now && (first < 0 || p.at < r.pending[first].at) {
				first = i
			}
		}
		expiry := int64(1 << 62)
		if len(r.idle) > 0 && r.idleFor < 1<<62 {
			expiry = r.idle[0].since + r.idleFor
		}
		switch {
		case expiry <= now && (first < 0 || expiry <= r.pending[first].at):
			r.now = max(r.now, expiry)
			r.expireFirst(false)
		case first >= 0:
			p := r.pending[first]
			r.pending = slices.Delete(r.pending, first, first+1)
			r.now = max(r.now, p.at)
			r.free(p.host)
		default:
			r.now = max(r.now, now)
			return
		}
	}
}

// FuzzGhost looks for a sequence of events over which a ghost and its reference
// disagree.
func FuzzGhost(f *testing.F) {
	f.Add([]byte("\x03\x10\x00\x01\x00\x01\x00\x01\x01\x01\x01\x01\x01\x01"))
	f.Add([]byte{3, 200, 0, 1, 1, 1, 0, 0, 2, 0, 1, 0, 4, 0, 0, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:min(len(b), 1000)] // the reference is slow
		gs := newGhosts([]Ghost{
			{Name: "few", MaxIdlePerHost: 3, MaxIdle: 5, IdleTimeout: time.Second},
			{Name: "none", MaxIdlePerHost: -1},
		})
		var hosts [3]*hostGhost
		for i := range hosts {
			hosts[i] = gs.host(new(keepAlive))
			hosts[i].keeps.rested.Store([]int64{0, 1e9, 90e9}[i])
		}
		refs := newReferences(gs)
		now := int64(0)
		for ; len(b) >= 2; b = b[2:] {
			e := event{ghost: hosts[b[0]/5%3], kind: kind(b[0] % 5)}
			if e.kind == spoiled && b[1]%2 > 0 {
				e.kind = drained
			}
			// Cubes reach from nothing to beyond the idle timeout.
			step := int64(b[1]) * int64(b[1]) * int64(b[1]) * 10e3
			if e.kind == dialed {
				e.at = step
			} else {
				now += step
				e.at = now
			}
			gs.step(e)
			for _, ref := range refs {
				ref.step(e)
			}
		}
		gs.advance(now + 100e9)
		for j, ref := range refs {
			ref.advance(now + 100e9)
			for i, h := range hosts {
				p := &h.parts[j]
				if r := ref.host(h); p.closed != r.closed || p.dials != r.dials || h.perRequest != r.perRequest || p.idle.n != len(r.idle) {
					t.Errorf("%v, host %d: closed %d, dials %d, per request %d, idle %d; the reference has %d, %d, %d, %d",
						ref, i, p.closed, p.dials, h.perRequest, p.idle.n, r.closed, r.dials, r.perRequest, len(r.idle))
				}
			}
		}
	})
}
