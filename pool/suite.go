//go:build nethttpsuite

package pool

import "net"

// IdleConnsForTesting returns the connections that rest, by what net/http's
// tests call them (see internal/nethttp).
func (t *Transport) IdleConnsForTesting() map[string][]net.Conn {
	conns := make(map[string][]net.Conn)
	for _, g := range t.allGroups() {
		key := g.key.Proxy + "|" + g.key.Scheme
		if g.key.HTTP1 {
			key += ",h1"
		}
		key += "|" + g.key.Address
		g.mu.Lock()
		for c := range g.restingLocked {
			conns[key] = append(conns[key], c.raw)
		}
		g.mu.Unlock()
	}
	return conns
}
