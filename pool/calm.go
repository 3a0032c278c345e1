package pool

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// calmInterval is how often a gRPC server takes a PING while a call is
	// under way (every five minutes), and a margin.
	calmInterval = 5*time.Minute + 30*time.Second

	// calmAtRest is how often it takes one without a call, for connections
	// that rest without limit.
	calmAtRest = 2*time.Hour + 5*time.Minute

	// calmPings is how many PINGs it takes after a response, however early they
	// come: the first does not count, and the third of those that do is one
	// too many.
	calmPings = 3

	// maxCalm bounds the hosts that are remembered.
	maxCalm = 1024
)

// calmHosts remembers which hosts take few PINGs. It outlives their groups: a
// group is forgotten with its last connection, and that is what a server that
// was pinged too often closes.
type calmHosts struct {
	mu    sync.RWMutex // nothing is called under it
	least map[Key]time.Duration
}

// of returns the shortest interval between PINGs that the host takes, or 0 if
// nothing is known.
func (h *calmHosts) of(k Key) time.Duration {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.least[k]
}

// raise notes that the host takes PINGs no more often than this.
func (h *calmHosts) raise(k Key, d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.least == nil {
		h.least = make(map[Key]time.Duration)
	}
	if d <= h.least[k] {
		return
	}
	if len(h.least) >= maxCalm {
		for other := range h.least {
			delete(h.least, other)
			break
		}
	}
	h.least[k] = d
}

// calmLeast returns the shortest interval that a gRPC server takes at rest and
// under way, when connections rest for idle at most (0: without limit).
func calmLeast(idle time.Duration) time.Duration {
	if idle == 0 {
		return calmAtRest
	}
	return min(max(calmInterval, idle/calmPings), calmAtRest)
}

// heedRequest learns from a request that its host is a gRPC server.
func (g *group) heedRequest(req *http.Request) {
	if !g.t.cfg.pingHTTP2 {
		return
	}
	ct := req.Header["Content-Type"]
	if len(ct) == 0 || !strings.HasPrefix(ct[0], "application/grpc") {
		return
	}
	if least := calmLeast(g.t.cfg.idle); g.t.calm.of(g.key) < least {
		g.t.calm.raise(g.key, least)
	}
}

// heedFailure learns from an error that a connection was pinged too often. An
// HTTP/2 error names its code: that of a GOAWAY before the server closed the
// connection, or of a RST_STREAM.
func (c *conn) heedFailure(err error) {
	if c.pingAfter > 0 && strings.Contains(err.Error(), "ENHANCE_YOUR_CALM") {
		c.g.t.calm.raise(c.g.key, max(calmLeast(c.g.t.cfg.idle), min(2*c.pingAfter, calmAtRest)))
	}
}
