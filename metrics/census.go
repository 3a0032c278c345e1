package metrics

import (
	"context"
	"net/netip"
	"time"

	"github.com/lastack/lastack/internal/sockdiag"
)

// Sockets is how many TCP sockets a network namespace has. States have the
// names of OpenTelemetry's attribute network.connection.state: "established",
// "time_wait", "close_wait", …
type Sockets struct {
	// ByState has the sockets in each state.
	ByState map[string]int `json:"by_state"`

	// ByDestination has the sockets to each remote address, by state. Sockets
	// on a port on which this namespace listens are left out: those are
	// connections to us, not from us.
	ByDestination map[netip.AddrPort]map[string]int `json:"by_destination"`

	// Ours has those of ByState that are connections of the Meter which was
	// asked, or were: all others are somebody else's, the peers' ends of the
	// same connections included, where they are here too. It is nil in a
	// [Census] of no Meter.
	Ours map[string]int `json:"ours,omitempty"`

	// Remaining is for how long the TIME_WAITs will stand.
	Remaining Histogram `json:"remaining"`
}

// Census counts the TCP sockets of this network namespace, whichever process
// made them. It takes some milliseconds for each ten thousand. The kernel does
// not stand still for it, so a socket that changes meanwhile may be counted
// twice or not at all. On systems other than Linux the error is
// [errors.ErrUnsupported].
func Census(ctx context.Context) (Sockets, error) { return census(ctx, nil) }

// Census does what the function [Census] does, and says which of the sockets are
// the Meter's. Of connections that have ended it knows those that
// [Meter.Reconcile] does.
func (m *Meter) Census(ctx context.Context) (Sockets, error) { return census(ctx, &m.ours) }

func census(ctx context.Context, o *ours) (Sockets, error) {
	conn, err := sockdiag.Open()
	if err != nil {
		return Sockets{}, err
	}
	defer conn.Close()
	each := func(states uint32, visit func(sockdiag.Socket)) error {
		err := conn.Each(states, func(k sockdiag.Socket) bool {
			if k.State < tcpStates {
				visit(k)
			}
			return ctx.Err() == nil
		})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	t := new(tally)
	if o != nil {
		t.query = &query{ours: o, now: time.Now(), found: func(i int, c claim) {
			if c != others {
				t.mine[t.states[i]]++
			}
		}}
	}
	if err := each(sockdiag.Listen.Mask(), t.listen); err != nil {
		return Sockets{}, err
	}
	if err := each(sockdiag.AllStates&^sockdiag.Listen.Mask(), t.add); err != nil {
		return Sockets{}, err
	}
	return t.sockets(), nil
}

const tcpStates = sockdiag.Closing + 1

// byState counts sockets by the number of their state: maps are made of it when
// all have been counted, and not touched for each.
type byState [tcpStates]int

func (b *byState) named() map[string]int {
	named := make(map[string]int)
	for state, n := range b {
		if n > 0 {
			named[sockdiag.State(state).String()] = n
		}
	}
	return named
}

// A tally is a census in progress.
type tally struct {
	all       byState
	listening [1 << 16]bool // by port
	to        map[netip.AddrPort]*byState
	last      netip.AddrPort // the destination before, which most often is this one
	lastTo    *byState
	remaining recorder

	query  *query // for those that are ours; or nil
	states [atATime]sockdiag.State
	mine   byState
}

func (t *tally) listen(k sockdiag.Socket) {
	t.all[k.State]++
	t.listening[k.Local.Port()] = true
}

func (t *tally) add(k sockdiag.Socket) {
	t.all[k.State]++
	if k.State == sockdiag.TimeWait {
		t.remaining.record(remainingScale, int64(k.Expires))
	}
	if t.query != nil {
		t.states[t.query.add(k)] = k.State
	}
	if t.listening[k.Local.Port()] || k.Remote.Port() == 0 {
		return
	}
	if k.Remote != t.last || t.lastTo == nil {
		if t.to == nil {
			t.to = make(map[netip.AddrPort]*byState)
		}
		t.last, t.lastTo = k.Remote, t.to[k.Remote]
		if t.lastTo == nil {
			t.lastTo = new(byState)
			t.to[k.Remote] = t.lastTo
		}
	}
	t.lastTo[k.State]++
}

// sockets returns the result.
func (t *tally) sockets() Sockets {
	s := Sockets{
		ByState:       t.all.named(),
		ByDestination: make(map[netip.AddrPort]map[string]int, len(t.to)),
		Remaining:     t.remaining.read(remainingScale),
	}
	for to, states := range t.to {
		s.ByDestination[to] = states.named()
	}
	if t.query != nil {
		t.query.flush()
		s.Ours = t.mine.named()
	}
	return s
}
