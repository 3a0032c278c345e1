package metrics

import (
	"context"
	"net/netip"

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
}

// Census counts the TCP sockets of this network namespace, whichever process
// made them. It takes some milliseconds for each ten thousand. The kernel does
// not stand still for it, so a socket that changes meanwhile may be counted
// twice or not at all. On systems other than Linux the error is
// [errors.ErrUnsupported].
func Census(ctx context.Context) (Sockets, error) {
	conn, err := sockdiag.Open()
	if err != nil {
		return Sockets{}, err
	}
	defer conn.Close()

	s := Sockets{ByState: make(map[string]int), ByDestination: make(map[netip.AddrPort]map[string]int)}
	listening := make(map[uint16]bool)
	each := func(states uint32, visit func(sockdiag.Socket)) error {
		err := conn.Each(states, func(k sockdiag.Socket) bool {
			s.ByState[k.State.String()]++
			visit(k)
			return ctx.Err() == nil
		})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	err = each(sockdiag.Listen.Mask(), func(k sockdiag.Socket) { listening[k.Local.Port()] = true })
	if err != nil {
		return Sockets{}, err
	}
	err = each(sockdiag.AllStates&^sockdiag.Listen.Mask(), func(k sockdiag.Socket) {
		if listening[k.Local.Port()] || k.Remote.Port() == 0 {
			return
		}
		states := s.ByDestination[k.Remote]
		if states == nil {
			states = make(map[string]int)
			s.ByDestination[k.Remote] = states
		}
		states[k.State.String()]++
	})
	if err != nil {
		return Sockets{}, err
	}
	return s, nil
}
