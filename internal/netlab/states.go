package netlab

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/sockdiag"
)

// States are the sockets of a server's connections, by side. Both sides of a
// loopback connection are in the same namespace.
type States struct {
	Client, Server Side
}

// A Side counts the sockets of one side of the connections.
type Side struct {
	// By counts them by state, mini-sockets among them.
	By map[sockdiag.State]int

	// MiniFinWait2 counts those in FIN_WAIT2 that have become mini-sockets:
	// their process has closed them, and only the kernel waits for the peer.
	MiniFinWait2 int
}

// States asks the kernel for the sockets of all connections to and from the
// server. It tells them by the server's port alone, which nobody else in the
// namespace uses: the kernel gives no connection a port on which somebody
// listens. So a listener on several addresses is one server.
func (*Lab) States(t testing.TB, server netip.AddrPort) States {
	t.Helper()
	s := States{Client: Side{By: map[sockdiag.State]int{}}, Server: Side{By: map[sockdiag.State]int{}}}
	each(t, sockdiag.AllStates&^sockdiag.Listen.Mask(), func(sock sockdiag.Socket) {
		switch server.Port() {
		case sock.Remote.Port():
			s.Client.add(sock)
		case sock.Local.Port():
			s.Server.add(sock)
		}
	})
	return s
}

func (s *Side) add(sock sockdiag.Socket) {
	s.By[sock.State]++
	if sock.State == sockdiag.FinWait2 && sock.Mini() {
		s.MiniFinWait2++
	}
}

// TimeWaits counts the side's TIME_WAIT sockets.
func (s Side) TimeWaits() int { return s.By[sockdiag.TimeWait] }

// closing counts those for which something is still to be delivered.
func (s Side) closing() int {
	return s.By[sockdiag.FinWait1] + s.By[sockdiag.Closing] + s.By[sockdiag.LastAck]
}

func (s Side) String() string {
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(s.By)) {
		parts = append(parts, fmt.Sprintf("%v=%d", state, s.By[state]))
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func (s States) String() string { return fmt.Sprintf("client %v, server %v", s.Client, s.Server) }

// TimeWaits counts the TIME_WAIT sockets of the connections to the server, by
// the side that holds them.
func (lab *Lab) TimeWaits(t testing.TB, server netip.AddrPort) (client, ofServer int) {
	t.Helper()
	s := lab.States(t, server)
	return s.Client.TimeWaits(), s.Server.TimeWaits()
}

// Settle waits until the kernel has nothing left to deliver on the server's
// connections: until none is in FIN_WAIT1, CLOSING or LAST_ACK.
func (lab *Lab) Settle(t testing.TB, server netip.AddrPort, within time.Duration) {
	t.Helper()
	var now States
	if !poll(within, func() bool {
		now = lab.States(t, server)
		return now.Client.closing()+now.Server.closing() == 0
	}) {
		t.Fatalf("not settled within %v: %v", within, now)
	}
}

// listening reports whether there is a listener at every address.
func listening(t testing.TB, addrs []netip.AddrPort) bool {
	t.Helper()
	var found []netip.AddrPort
	each(t, sockdiag.Listen.Mask(), func(sock sockdiag.Socket) { found = append(found, sock.Local) })
	return !slices.ContainsFunc(addrs, func(a netip.AddrPort) bool { return !slices.Contains(found, a) })
}

// each calls f for every socket of the namespace in one of the states.
func each(t testing.TB, states uint32, f func(sockdiag.Socket)) {
	t.Helper()
	conn, err := sockdiag.Open()
	if err != nil {
		t.Fatalf("netlab: %v", err)
	}
	defer conn.Close()
	err = conn.Each(states, func(sock sockdiag.Socket) bool {
		f(sock)
		return true
	})
	if err != nil {
		t.Fatalf("netlab: %v", err)
	}
}
