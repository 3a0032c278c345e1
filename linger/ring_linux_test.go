package linger_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
)

func TestMain(m *testing.M) { netlab.Main(m) }

// patience is how long anything may take that should take milliseconds.
const patience = 30 * time.Second

// party is how many connections each scene of the ring makes.
var party = map[bool]int{false: 200, true: 50}[underRace]

var quiet = log.New(io.Discard, "", 0)

// A scene is one way for the server's connections to end.
type scene struct {
	name   string
	guests []string // those whom it makes sense for

	tune     func(*http.Server)
	big      bool // the guests' headers are longer than the server takes
	leaves   bool // the guests say "Connection: close"
	dismiss  bool // the handler does
	fails    bool // the handler panics in the middle of the response
	unbegun  bool // no guest asks for anything
	late     bool // every other response waits for Shutdown to begin
	cut      bool // those that wait are broken off
	lingers  bool // the guests stay until the server has closed
	shutdown bool // the server shuts down while the guests are there
}

const big = 20 << 10 // of a header that is longer than the server takes

var scenes = []scene{{
	name:   "idle timeout",
	guests: []string{"net/http", "net/http TLS", "net/http h2", "net/http h2c", "curl", "nginx", "h2load", "h2load h1"},
	tune:   func(srv *http.Server) { srv.IdleTimeout = 100 * time.Millisecond }, lingers: true,
}, {
	name:   "Shutdown",
	guests: []string{"net/http", "net/http TLS", "net/http h2", "net/http h2c", "curl", "nginx", "nginx close", "wrk", "h2load", "h2load h1"},
	late:   true, shutdown: true,
}, {
	name:   "handler panic",
	guests: []string{"net/http", "net/http TLS", "curl", "nginx", "nginx close", "wrk"},
	fails:  true,
}, {
	name:    "ReadHeaderTimeout",
	guests:  []string{"silent", "silent TLS", "half a header", "curl telnet"},
	tune:    func(srv *http.Server) { srv.ReadHeaderTimeout = 100 * time.Millisecond },
	unbegun: true, lingers: true,
}, {
	name:   "oversized header",
	guests: []string{"net/http", "net/http TLS", "curl", "nginx", "nginx close", "wrk", "h2load h1"},
	tune:   func(srv *http.Server) { srv.MaxHeaderBytes = 1 << 10 }, big: true,
}, {
	name:    "close by the server",
	guests:  []string{"net/http", "net/http TLS", "net/http h2", "curl", "nginx", "nginx close", "wrk", "h2load h1"},
	dismiss: true,
}, {
	name:   "close by the client",
	guests: []string{"net/http", "net/http TLS", "curl", "nginx close", "wrk", "h2load h1"},
	leaves: true,
}}

// TestServerRing plays every scene with every guest that it makes sense for.
func TestServerRing(t *testing.T) {
	for _, sc := range scenes {
		t.Run(strings.ReplaceAll(sc.name, " ", "_"), func(t *testing.T) {
			netlab.Run(t, func(lab *netlab.Lab) {
				ring(t, sc.name, sc.guests, func(t *testing.T, guest string, ours bool) result {
					return play(t, lab, sc, guest, ours)
				})
			})
		})
	}
}

// ring plays a scene with each guest, first behind a bare listener, unless the
// race detector takes the time, and then behind the Closer's. It prints what
// was left on the server's side.
func ring(t *testing.T, name string, guests []string, play func(t *testing.T, guest string, ours bool) result) {
	var mu sync.Mutex
	said := map[string]string{}
	slots := make(chan struct{}, 4) // most of the time is waited for
	var all sync.WaitGroup
	for _, guest := range guests {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			t.Run(guest, func(t *testing.T) {
				bare, mayLose := "-", 0
				if !underRace {
					was := play(t, guest, false)
					bare, mayLose = fmt.Sprintf("%d, %d", was.timeWaits, was.lost), was.lost
				}
				is := play(t, guest, true)
				if !is.unread {
					mayLose = 0
				} else if underRace && is.lost > 0 {
					mayLose = play(t, guest, false).lost
				}
				if is.timeWaits != 0 || is.lost > mayLose {
					t.Errorf("behind the Closer's listener: TIME_WAIT %d, lost %d: %s", is.timeWaits, is.lost, is.ended)
				}
				mu.Lock()
				defer mu.Unlock()
				said[guest] = fmt.Sprintf("%-14s %-8s %3d, %d: %s", guest, bare, is.timeWaits, is.lost, is.ended)
			})
		})
	}
	all.Wait()
	var table strings.Builder
	for _, guest := range guests {
		fmt.Fprintf(&table, "\n%s", said[guest])
	}
	t.Logf("%s, %d connections: the server's TIME_WAITs and the responses lost, bare; behind the Closer's listener%s",
		name, party, &table)
}

// A result is what is left of a scene.
type result struct {
	timeWaits int // on the server's side
	lost      int // responses that the handler finished, and that did not come whole
	ended     string

	// The server answers before it has read all of the request. Then net/http
	// hears the client for half a second more and closes over what is unread,
	// so on a busy machine the bare listener loses responses too: ours may
	// lose as many.
	unread bool
}

func play(t *testing.T, lab *netlab.Lab, sc scene, guest string, ours bool) result {
	h := newHost(t, lab, sc, ours)
	g := guests[guest](h)
	h.serve()
	g.come()
	if !sc.unbegun && !sc.big {
		h.await("all have asked", func() bool { return h.arrived.Load() >= int64(party) })
	}
	if sc.shutdown {
		h.shutdown()
	}
	if sc.lingers {
		h.await("the server has ended its connections", func() bool { return h.kept() <= g.held() })
		close(h.gone)
	}
	came := g.leave()
	h.await("nothing is left but TIME_WAITs", func() bool { return h.open() == 0 })
	h.shutdown()
	h.awaitEndings()
	return result{h.timeWaits(), h.dues() - came, h.endings(), sc.big}
}

// dialer of the guests that are written here. They connect all at once.
var dialer = net.Dialer{Timeout: patience}
