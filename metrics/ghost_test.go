package metrics

import (
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"
)

const ms = int64(time.Millisecond)

// play gives a fresh ghost the events, then lets time pass until end.
func play(events []event, end int64) *ghost {
	g := new(ghost)
	for _, e := range events {
		g.step(e)
	}
	g.advance(end)
	return g
}

func newHostGhost() *hostGhost {
	h := new(hostGhost)
	h.init()
	return h
}

func TestGhost(t *testing.T) {
	// Each letter is an event, one millisecond after the one before it:
	// L leases, R returns, s spoils, c says that the server closes, d reports
	// a dial of 10 ms, and + lets a minute pass.
	for _, tt := range []struct {
		name, events       string
		closed, perRequest uint64
	}{
		{"nothing", "", 0, 0},
		{"one after the other", "LRLRLRLR", 0, 4},
		{"two at a time rest", "LLRRLLRR", 0, 4},
		{"the third and later are closed", "LLLLLRRRRR", 3, 5},
		{"idle for 90 s", "LLRR++", 2, 2},
		{"idle for less", "LLRR+", 0, 2},
		{"use renews", "LR+LR+LR+", 0, 3},
		{"the newest is used, the older expires", "LLRR+LR+", 1, 3},
		{"servers that close idle connections get the blame", "LLRRc++", 0, 2},
		{"but not for what is surplus", "cLLLRRR++", 1, 3},
		{"spoiled connections are gone", "LLLssRRRLLRR", 0, 5},
		{"a return without a lease", "RRLRR", 0, 1},
		// Four dials of 10 ms begin, while the requests last 1 ms. The first
		// connection serves the first three requests and the second the
		// fourth, both rest, and the last two dials are surplus.
		{"dials that nobody needs any more", "dLRLRLRLR+", 2, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, h, now := new(ghost), newHostGhost(), int64(0)
			for _, c := range tt.events {
				now += ms
				switch c {
				case 'L':
					g.step(event{now, h, leased})
				case 'R':
					g.step(event{now, h, returned})
				case 's':
					g.step(event{now, h, spoiled})
				case 'c':
					g.step(event{now, h, serverCloses})
				case 'd':
					g.step(event{10 * ms, h, dialed})
				case '+':
					now += int64(time.Minute)
				}
			}
			g.advance(now)
			if h.closed != tt.closed || h.perRequest != tt.perRequest {
				t.Errorf("closed %d, per request %d; want %d, %d", h.closed, h.perRequest, tt.closed, tt.perRequest)
			}
		})
	}
}

func TestGhostIdleInAll(t *testing.T) {
	g := new(ghost)
	var hosts []*hostGhost
	for i := range int64(60) {
		h := newHostGhost()
		hosts = append(hosts, h)
		for _, k := range []kind{leased, leased, returned, returned} {
			g.step(event{i * ms, h, k})
		}
	}
	g.advance(60 * ms)
	for i, h := range hosts {
		want := uint64(0)
		if i < 10 { // 120 want to rest, 100 may: the 20 oldest go
			want = 2
		}
		if h.closed != want {
			t.Errorf("host %d closed %d, want %d", i, h.closed, want)
		}
	}
	if g.idle.n != idleInAll {
		t.Errorf("%d idle, want %d", g.idle.n, idleInAll)
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
				events = append(events, event{d.at, d.host, spoiled})
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

// TestGhostAgainstReference compares the ghost, event for event, with a
// simulator that is written to be obvious and not to be fast.
func TestGhostAgainstReference(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var hosts []*hostGhost
		for range 1 + rng.IntN(80) {
			hosts = append(hosts, newHostGhost())
		}
		gap := 1 + rng.Int64N(5*ms)
		service, dial := gap*int64(1+rng.IntN(8*len(hosts))), 1+rng.Int64N(40*ms)
		events := randomTrace(rng, hosts, 1500, gap, service, dial)

		ref := newReference()
		g := new(ghost)
		for i, e := range events {
			g.step(e)
			ref.step(e)
			h := e.ghost
			if r := ref.host(h); h.closed != r.closed || h.nIdle != len(r.idle) || h.requests.nWaiting != len(r.waiting) {
				t.Fatalf("seed %d, event %d (%+v): closed %d, idle %d, waiting %d; the reference has %d, %d, %d",
					seed, i, e, h.closed, h.nIdle, h.requests.nWaiting, r.closed, len(r.idle), len(r.waiting))
			}
		}
		end := g.now + int64(time.Hour)
		g.advance(end)
		ref.advance(end)
		for i, h := range hosts {
			if r := ref.host(h); h.closed != r.closed || h.perRequest != r.perRequest {
				t.Fatalf("seed %d, host %d: closed %d, per request %d; the reference has %d, %d",
					seed, i, h.closed, h.perRequest, r.closed, r.perRequest)
			}
			if h.nIdle != 0 || h.requests.nWaiting != 0 || h.requests.head != h.requests.tail {
				t.Fatalf("seed %d, host %d: something is left: %+v", seed, i, h)
			}
		}
		if g.idle.n != 0 || g.idle.oldest != nil || len(g.timers.heap) != 0 {
			t.Fatalf("seed %d: something is left: %+v", seed, g)
		}
	}
}

// TestGhostAgainstStack compares the ghost with the one-pass analysis of all
// pool sizes (Mattson's stack algorithm, for pools): without dial times and
// idle timeouts the idle connections of LIFO pools of all sizes fit in one
// word.
func TestGhostAgainstStack(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 2))
		h := newHostGhost()
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
		if play(events, 5000); h.closed != want {
			t.Fatalf("seed %d: closed %d, want %d", seed, h.closed, want)
		}
	}
}

func TestGhostForgetsLeaks(t *testing.T) {
	g, h := new(ghost), newHostGhost()
	for i := range int64(3 * maxRequests) {
		g.step(event{i, h, leased})
	}
	if n := len(h.requests.ring); n != maxRequests {
		t.Fatalf("the ring has %d places after %d leaks", n, 3*maxRequests)
	}
	for i := range int64(3 * maxRequests) {
		g.step(event{i, h, returned})
	}
	if h.perRequest > 3*maxRequests {
		t.Errorf("more claimed than there were requests")
	}
	// And it goes on as before.
	closed := h.closed
	for _, k := range []kind{leased, leased, leased, returned, returned, returned} {
		g.step(event{4 * maxRequests, h, k})
	}
	g.advance(5 * maxRequests)
	if h.closed != closed+1 {
		t.Errorf("closed %d more, want 1", h.closed-closed)
	}
}
