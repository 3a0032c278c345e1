//go:build nethttpsuite

package pool

import "net"

// What net/http's tests see of an http.Transport, they see of the pool that
// serves it (see internal/nethttp).

// IdleConnsForTesting returns the connections that rest, by net/http's names.
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

// PendingForTesting returns how many requests wait or are under way.
func (t *Transport) PendingForTesting() int {
	n := 0
	for _, g := range t.allGroups() {
		g.mu.Lock()
		n += g.waiters.len
		for c := range g.live {
			n += c.streams
		}
		g.mu.Unlock()
	}
	return n
}

// SpeaksHTTP2ForTesting reports whether the connections for https offer HTTP/2.
func (t *Transport) SpeaksHTTP2ForTesting() bool {
	return t.init() == nil && t.cfg.any.Protocols.HTTP2()
}
