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

// States are the sockets of a server's connections, by side and state. Both
// sides of a loopback connection are in the same namespace.
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

// States asks the kernel for the sockets of all connections to and from server.
// An address without an IP, such as that of a listener on all interfaces,
// stands for its port on every address.
func (*Lab) States(t testing.TB, server netip.AddrPort) States {
	t.Helper()
	s := States{Client: Side{By: map[sockdiag.State]int{}}, Server: Side{By: map[sockdiag.State]int{}}}
	each(t, sockdiag.AllStates&^sockdiag.Listen.Mask(), func(sock sockdiag.Socket) {
		switch {
		case same(sock.Remote, server):
			s.Client.add(sock)
		case same(sock.Local, server):
			s.Server.add(sock)
		}
	})
	return s
}

// TimeWaits counts the side's TIME_WAIT sockets.
func (s Side) TimeWaits() int { return s.By[sockdiag.TimeWait] }

func (s *Side) add(sock sockdiag.Socket) {
	s.By[sock.State]++
	if sock.State == sockdiag.FinWait2 && sock.Mini() {
		s.MiniFinWait2++
	}
}

// TimeWaits counts the TIME_WAIT sockets of the connections to server, by the
// side that holds them.
func (lab *Lab) TimeWaits(t testing.TB, server netip.AddrPort) (client, serverSide int) {
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

func (s Side) closing() int {
	return s.By[sockdiag.FinWait1] + s.By[sockdiag.Closing] + s.By[sockdiag.LastAck]
}

func (s States) String() string { return fmt.Sprintf("client %v, server %v", s.Client, s.Server) }

func (s Side) String() string {
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(s.By)) {
		parts = append(parts, fmt.Sprintf("%v=%d", state, s.By[state]))
	}
	return "[" + strings.Join(parts, " ") + "]"
}

// listening reports whether there is a listener at every address.
func listening(t testing.TB, addrs []netip.AddrPort) bool {
	t.Helper()
	found := 0
	each(t, sockdiag.Listen.Mask(), func(sock sockdiag.Socket) {
		if slices.Contains(addrs, sock.Local) {
			found++
		}
	})
	return found == len(addrs)
}

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

// same reports whether a socket's address is the server's.
func same(a, server netip.AddrPort) bool {
	return a.Port() == server.Port() &&
		(!server.Addr().IsValid() || server.Addr().IsUnspecified() || a.Addr() == server.Addr().Unmap())
}
