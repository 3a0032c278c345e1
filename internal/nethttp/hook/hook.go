// Package hook has pools serve the Transports of net/http's own tests.
//
// It is built into them by an overlay that gives http.Transport the methods of
// the interface stock, under which its own go on.
package hook

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/lastack/lastack/pool"
)

// The environment of a test binary.
const (
	// ModeEnv is ModePool or ModeForeign; else nothing is routed to a pool.
	ModeEnv = "LASTACK_NETHTTP"

	// NotesEnv names a file that takes the Router's notes, one a line.
	NotesEnv = "LASTACK_NETHTTP_NOTES"
)

// The modes.
const (
	ModePool    = "pool"
	ModeForeign = "foreign" // and http.Client does not know the Transport by its type
)

// The notes. Called is written once; a line of HandedBack goes on with the request.
const (
	Called     = "called"
	HandedBack = "handed back"
)

// stock is what the overlay adds to an http.Transport.
type stock interface {
	StockRoundTrip(*http.Request) (*http.Response, error)
	StockCloseIdleConnections()
	StockCancelRequest(*http.Request)
	SuiteRegistered(scheme string) bool
}

// A Router has a pool for each Transport.
type Router struct {
	Foreign bool

	pools  sync.Map // from *http.Transport to *pool.Transport
	called sync.Once
	mu     sync.Mutex // serializes notes
}

// New returns the Router that the environment asks for, or nil.
func New() *Router {
	switch os.Getenv(ModeEnv) {
	case ModePool:
		return new(Router)
	case ModeForeign:
		return &Router{Foreign: true}
	}
	return nil
}

// of returns the pool of t, making it if there is none.
func (r *Router) of(t *http.Transport) *pool.Transport {
	p, ok := r.pools.Load(t)
	if !ok {
		p, _ = r.pools.LoadOrStore(t, &pool.Transport{Base: t})
	}
	return p.(*pool.Transport)
}

// used returns the pool of t, or nil if t has not been used yet.
func (r *Router) used(t *http.Transport) *pool.Transport {
	p, _ := r.pools.Load(t)
	used, _ := p.(*pool.Transport)
	return used
}

// RoundTrip sends the request through t's pool.
func (r *Router) RoundTrip(t *http.Transport, req *http.Request) (*http.Response, error) {
	s := any(t).(stock)
	if inPool() {
		// What the program has registered a protocol for is t's to serve.
		isHTTP := req.URL != nil && (req.URL.Scheme == "http" || req.URL.Scheme == "https")
		if isHTTP && r.used(t) != nil && !s.SuiteRegistered(req.URL.Scheme) {
			r.note(fmt.Sprintf("%s %s %s", HandedBack, req.Method, req.URL.Redacted()))
		}
		return s.StockRoundTrip(req)
	}
	r.called.Do(func() { r.note(Called) })
	return r.of(t).RoundTrip(req)
}

// CloseIdleConnections closes those of t's pool.
func (r *Router) CloseIdleConnections(t *http.Transport) {
	p := r.used(t)
	if p == nil || inPool() {
		any(t).(stock).StockCloseIdleConnections()
		return
	}
	p.CloseIdleConnections()
}

// CancelRequest cancels a request of t's pool.
func (r *Router) CancelRequest(t *http.Transport, req *http.Request) {
	if p := r.used(t); p != nil {
		p.CancelRequest(req)
		return
	}
	any(t).(stock).StockCancelRequest(req)
}

// Innards shows what serves t. Package pool has the methods when it is built for
// the suite.
func (r *Router) Innards(t *http.Transport) innards {
	p := r.used(t)
	if p == nil {
		p = new(pool.Transport) // which has nothing
	}
	return any(p).(innards)
}

// innards is the type that the overlay knows without its name.
type innards = interface {
	IdleConnsForTesting() map[string][]net.Conn
	PendingForTesting() int
	SpeaksHTTP2ForTesting() bool
}

// inPool reports whether it is package pool itself that calls net/http, not
// code of the program's that the pool calls, such as a DialContext: then the
// Transport is wanted as it is.
func inPool() bool {
	pcs := make([]uintptr, 100)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		// The first caller that is neither net/http nor we.
		if !strings.HasPrefix(f.Function, "net/http.") && !strings.Contains(f.Function, "/hook.") || !more {
			return strings.HasPrefix(f.Function, "github.com/lastack/lastack/pool.")
		}
	}
}

func (r *Router) note(line string) {
	name := os.Getenv(NotesEnv)
	if name == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		panic(err) // a note that is lost might be the one that matters
	}
	defer f.Close()
	fmt.Fprintln(f, line)
}
