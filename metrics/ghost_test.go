package metrics

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"
)

const ms = int64(time.Millisecond)

// play gives the ghosts the events, then lets time pass until end.
func (gs ghosts) play(events []event, end int64) {
	for _, e := range events {
		gs.step(e)
	}
	gs.advance(end)
}

func TestGhost(t *testing.T) {
	// Each letter is an event, one millisecond after the one before it:
	// L leases, R returns, s spoils, c says that the server closes, d reports
	// a dial of 10 ms, k says that a connection has rested for 81 seconds, and +
	// lets a minute pass.
	for _, tt := range []struct {
		name, events       string
		closed, perRequest uint64
	}{
		{"nothing", "", 0, 0},
		{"one after the other", "LRLRLRLR", 0, 4},
		{"two at a time rest", "LLRRLLRR", 0, 4},
		{"the third and later are closed", "LLLLLRRRRR", 3, 5},
		{"idle for 90 s", "kLLRR++", 2, 2},
		{"idle for 90 s, but nobody knows whether the server waits for that", "LLRR++", 0, 2},
		{"idle for less", "LLRR+", 0, 2},
		{"use renews", "LR+LR+LR+", 0, 3},
		{"the newest is used, the older expires", "kLLRR+LR+", 1, 3},
		{"servers that close idle connections get the blame", "kLLRRc++", 0, 2},
		{"but not for what is surplus", "kcLLLRRR++", 1, 3},
		{"spoiled connections are gone", "LLLssRRRLLRR", 0, 5},
		{"a return without a lease", "RRLRR", 0, 1},
		// Four dials of 10 ms begin, while the requests last 1 ms. The first
		// connection serves the first three requests and the second the
		// fourth, both rest, and the last two dials are surplus.
		{"dials that nobody needs any more", "dLRLRLRLR+", 2, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			gs := newGhosts(nil)
			h, now := gs.host(new(keepAlive)), int64(0)
			for _, c := range tt.events {
				now += ms
				switch c {
				case 'L':
					gs.step(event{now, h, leased})
				case 'R':
					gs.step(event{now, h, returned})
				case 's':
					gs.step(event{now, h, spoiled})
				case 'c':
					gs.step(event{now, h, serverCloses})
				case 'k':
					h.keeps.rested.Store(int64(81 * time.Second))
				case 'd':
					gs.step(event{10 * ms, h, dialed})
				case '+':
					now += int64(time.Minute)
				}
			}
			gs.advance(now)
			if closed := h.parts[0].closed; closed != tt.closed || h.perRequest != tt.perRequest {
				t.Errorf("closed %d, per request %d; want %d, %d", closed, h.perRequest, tt.closed, tt.perRequest)
			}
		})
	}
}

// TestGhostKeepAlive has the server keep idle connections for 30 seconds.
func TestGhostKeepAlive(t *testing.T) {
	for _, tt := range []struct {
		name, events  string // as above, and 5 lets five seconds pass
		closed, dials uint64
	}{
		{"the server closes them first", "LLRR+", 0, 2},
		{"so others are dialled", "LLRR+LLRR+", 0, 4},
		{"before that they are used", "LLRR5LLRR5LLRR", 0, 2},
		{"what is surplus is closed as ever", "LLLRRR+LLLRRR", 2, 6},
		{"only those that are old enough go", "LLRR5555LRLRLR555LLRR", 0, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			gs := newGhosts(nil)
			h, now := gs.host(new(keepAlive)), int64(0)
			h.keeps.n.Store(-int64(30 * time.Second))
			for _, c := range tt.events {
				now += ms
				switch c {
				case 'L':
					gs.step(event{now, h, leased})
				case 'R':
					gs.step(event{now, h, returned})
				case '5':
					now += int64(5 * time.Second)
				case '+':
					now += int64(time.Minute)
				}
			}
			gs.advance(now + int64(time.Hour))
			if p := &h.parts[0]; p.closed != tt.closed || p.dials != tt.dials || p.idle.n != 0 || gs[0].idle.n != 0 {
				t.Errorf("closed %d, dials %d, %d idle; want %d, %d, 0", p.closed, p.dials, p.idle.n, tt.closed, tt.dials)
			}
		})
	}
}

func TestGhostIdleInAll(t *testing.T) {
	gs := newGhosts(nil)
	var hosts []*hostGhost
	for i := range int64(60) {
		h := gs.host(new(keepAlive))
		hosts = append(hosts, h)
		for _, k := range []kind{leased, leased, returned, returned} {
			gs.step(event{i * ms, h, k})
		}
	}
	gs.advance(60 * ms)
	for i, h := range hosts {
		want := uint64(0)
		if i < 10 { // 120 want to rest, 100 may: the 20 oldest go
			want = 2
		}
		if closed := h.parts[0].closed; closed != want {
			t.Errorf("host %d closed %d, want %d", i, closed, want)
		}
	}
	if n := gs[0].idle.n; n != idleInAll {
		t.Errorf("%d idle, want %d", n, idleInAll)
	}
}

// A trace is what random requests make of hosts: each lasts as long as a
// random service takes.
func randomTrace(rng *rand.Rand, hosts []*hostGhost, n int, gap, service, dial int64) []event {
	type done struct {
		at   int64
		host *hostGhost
	}
	var events []event
	var open []done
	now := int64(0)
	finish := func(until int64) {
		for {
			first := -1
			for i, d := range open {
				if d.at <= until && (first < 0 || d.at < open[first].at) {
					first = i
				}
			}
			if first < 0 {
				return
			}
			d := open[first]
			open = append(open[:first], open[first+1:]...)
			if rng.IntN(20) == 0 {
				events = append(events, event{d.at, d.host, []kind{spoiled, drained}[rng.IntN(2)]})
			}
			events = append(events, event{d.at, d.host, returned})
		}
	}
	for _, h := range hosts {
		events = append(events, event{dial, h, dialed})
	}
	for range n {
		now += 1 + int64(rng.ExpFloat64()*float64(gap))
		if rng.IntN(500) == 0 {
			now += int64(rng.Float64() * 120 * float64(time.Second))
		}
		finish(now)
		h := hosts[rng.IntN(len(hosts))]
		events = append(events, event{now, h, leased})
		open = append(open, done{now + 1 + int64(rng.ExpFloat64()*float64(service)), h})
		if rng.IntN(10) == 0 {
			events = append(events, event{1 + int64(rng.ExpFloat64()*float64(dial)), h, dialed})
		}
	}
	finish(1 << 62)
	return events
}

// TestGhostAgainstReference compares ghosts, event for event, with a simulator
// that is written to be obvious and not to be fast.
func TestGhostAgainstReference(t *testing.T) {
	seeds := uint64(40)
	if underRace {
		seeds = 8
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 1))
		gs := randomGhosts(rng)
		var hosts []*hostGhost
		for range 1 + rng.IntN(80) {
			h := gs.host(new(keepAlive))
			if rng.IntN(3) == 0 {
				h.keeps.n.Store(1 + rng.Int64N(200*ms))
			}
			if rng.IntN(3) > 0 {
				h.keeps.rested.Store(rng.Int64N(200 * ms))
			}
			hosts = append(hosts, h)
		}
		gap := 1 + rng.Int64N(5*ms)
		service, dial := gap*int64(1+rng.IntN(8*len(hosts))), 1+rng.Int64N(40*ms)
		events := randomTrace(rng, hosts, 1500, gap, service, dial)

		refs := newReferences(gs)
		for i, e := range events {
			gs.step(e)
			for j, ref := range refs {
				ref.step(e)
				p := &e.ghost.parts[j]
				if r := ref.host(e.ghost); p.closed != r.closed || p.dials != r.dials || p.idle.n != len(r.idle) || p.requests.nWaiting != len(r.waiting) {
					t.Fatalf("seed %d, %v, event %d (%+v): closed %d, dials %d, idle %d, waiting %d; the reference has %d, %d, %d, %d", seed, ref,
						i, e, p.closed, p.dials, p.idle.n, p.requests.nWaiting, r.closed, r.dials, len(r.idle), len(r.waiting))
				}
			}
		}
		end := gs[0].now + int64(time.Hour)
		gs.advance(end)
		for j, ref := range refs {
			ref.advance(end)
			for i, h := range hosts {
				p := &h.parts[j]
				if r := ref.host(h); p.closed != r.closed || p.dials != r.dials || h.perRequest != r.perRequest {
					t.Fatalf("seed %d, %v, host %d: closed %d, dials %d, per request %d; the reference has %d, %d, %d",
						seed, ref, i, p.closed, p.dials, h.perRequest, r.closed, r.dials, r.perRequest)
				}
				if p.idle.n != 0 && ref.idleFor < math.MaxInt64 || p.requests.nWaiting != 0 || p.requests.head != p.requests.tail {
					t.Fatalf("seed %d, %v, host %d: something is left: %+v", seed, ref, i, p)
				}
			}
			if g := gs[j]; g.idle.n != len(ref.idle) || g.idle.n == 0 != (g.idle.oldest() == nil) || len(g.timers.heap) != 0 {
				t.Fatalf("seed %d, %v: something is left: %+v", seed, ref, g)
			}
		}
	}
}

// randomGhosts has net/http's defaults and others.
func randomGhosts(rng *rand.Rand) ghosts {
	var configured []Ghost
	for i := range 3 {
		g := Ghost{Name: fmt.Sprint(i), MaxIdlePerHost: rng.IntN(8) - 1}
		if rng.IntN(2) == 0 {
			g.MaxIdle = 1 + rng.IntN(20)
		}
		if rng.IntN(3) > 0 {
			g.IdleTimeout = time.Duration(1 + rng.Int64N(100*ms))
		}
		configured = append(configured, g)
	}
	return newGhosts(configured)
}

// TestGhostAgainstStack compares the ghost with the one-pass analysis of all
// pool sizes (Mattson's stack algorithm, for pools): without dial times and
// idle timeouts the idle connections of LIFO pools of all sizes fit in one
// word.
func TestGhostAgainstStack(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 2))
		gs := newGhosts(nil)
		h := gs.host(new(keepAlive))
		var events []event
		var m, want uint64
		busy := 0
		for i := range int64(5000) {
			if busy == 0 || rng.IntN(2) == 0 {
				events = append(events, event{i, h, leased})
				busy++
				m &= m - 1
			} else {
				events = append(events, event{i, h, returned})
				busy--
				if bits.TrailingZeros64(^m) >= idlePerHost {
					want++
				}
				m |= m + 1
			}
		}
		gs.play(events, 5000)
		if closed := h.parts[0].closed; closed != want {
			t.Fatalf("seed %d: closed %d, want %d", seed, closed, want)
		}
	}
}

func TestGhostForgetsLeaks(t *testing.T) {
	gs := newGhosts(nil)
	h := gs.host(new(keepAlive))
	p := &h.parts[0]
	for i := range int64(3 * maxRequests) {
		gs.step(event{i, h, leased})
	}
	if n := len(p.requests.ring); n != maxRequests {
		t.Fatalf("the ring has %d places after %d leaks", n, 3*maxRequests)
	}
	for i := range int64(3 * maxRequests) {
		gs.step(event{i, h, returned})
	}
	if h.perRequest > 3*maxRequests {
		t.Errorf("more claimed than there were requests")
	}
	// And it goes on as before.
	closed := p.closed
	for _, k := range []kind{leased, leased, leased, returned, returned, returned} {
		gs.step(event{4 * maxRequests, h, k})
	}
	gs.advance(5 * maxRequests)
	if p.closed != closed+1 {
		t.Errorf("closed %d more, want 1", p.closed-closed)
	}
}
