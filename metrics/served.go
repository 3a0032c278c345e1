package metrics

import (
	"net"

	"github.com/lastack/lastack/linger"
)

// Listener returns l with the connections that it accepts counted: as born,
// under the host that is l's own address, and at their end by how they ended.
// Until then they are busy. The listener must be one of [linger.Closer.Listener],
// which sees the endings; a connection of any other kind is returned uncounted.
//
// Close and Addr are l's own, and what Accept returns is what l has accepted.
func (m *Meter) Listener(l net.Listener) net.Listener {
	return &served{l, m.Host(l.Addr().String())}
}

type served struct {
	net.Listener
	host *Host
}

func (s *served) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if conn, ok := c.(*linger.Conn); ok && err == nil {
		life := s.host.Born(true)
		life.SetAddrs(conn.LocalAddr(), conn.RemoteAddr())
		conn.SetAccount(life)
	}
	return c, err
}
