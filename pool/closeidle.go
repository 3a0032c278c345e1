package pool

import (
	"net"
	"slices"
	"strings"
	"time"

	"github.com/lastack/lastack/metrics"
)

const (
	// drainBatch connections are closed at a time, and drainPause lies between,
	// so that the goodbyes of a large pool are not a burst.
	drainBatch = 64
	drainPause = 10 * time.Millisecond
)

// CloseIdleConnections ends the connections that rest; those that are busy
// follow as they come to rest, unless another request comes first. None of them
// is lent any more. Where there are many, their goodbyes are spread over some
// time: 64 are said at once, and 64 more each 10 ms. It waits for none of this.
func (t *Transport) CloseIdleConnections() {
	if t.init() == nil {
		t.closeIdle(t.allGroups())
	}
}

// CloseIdleHost does what CloseIdleConnections does, for the connections to one
// host only: "example.com", which means all its ports, or "example.com:443". An IPv6
// address without a port may be in brackets or not. Connections through a proxy
// that serves several hosts are not among them, unless it is the proxy that is
// named.
func (t *Transport) CloseIdleHost(host string) {
	if t.init() != nil {
		return
	}
	if inner, ok := strings.CutPrefix(host, "["); ok && strings.HasSuffix(inner, "]") {
		host = strings.TrimSuffix(inner, "]") // as net.SplitHostPort returns it
	}
	t.closeIdle(slices.DeleteFunc(t.allGroups(), func(g *group) bool {
		address := g.key.host()
		name, _, err := net.SplitHostPort(address)
		return address != host && (err != nil || name != host)
	}))
}

func (t *Transport) closeIdle(groups []*group) {
	var leave []*conn
	for _, g := range groups {
		leave = append(leave, g.drain(metrics.CloseIdle)...)
		t.forget(g) // if it was kept for MinConnsPerHost only
	}
	first := leave[:min(drainBatch, len(leave))]
	for _, c := range first {
		c.close()
	}
	if rest := leave[len(first):]; len(rest) > 0 {
		go t.closeSpread(rest)
	}
}

// closeSpread closes the connections, in batches. At Shutdown, which waits for
// them, it does not pause any more.
func (t *Transport) closeSpread(leave []*conn) {
	pause := time.NewTicker(drainPause)
	defer pause.Stop()
	for batch := range slices.Chunk(leave, drainBatch) {
		select {
		case <-pause.C:
		case <-t.cfg.life.Done():
		}
		for _, c := range batch {
			c.close()
		}
	}
}
