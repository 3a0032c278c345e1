package pool

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/metrics"
)

// A Transport is an [http.RoundTripper] that keeps connections, shares them,
// and ends them so that this side has no TIME_WAIT. It takes the place of an
// [http.Transport].
//
// The zero Transport is ready. It must not be copied, nor its fields changed,
// after first use. Its methods may be called concurrently.
//
// A limit that is negative where that means nothing is reported as a
// [*ConfigError] by the first request.
type Transport struct {
	// Base holds the settings of the protocol: proxies, TLS, timeouts,
	// headers, buffers, HTTP versions. They are copied at the first request;
	// Base itself is never changed.
	// If nil, they are those of cleanhttp.DefaultPooledTransport.
	Base *http.Transport

	// Dialer makes the connections.
	// If nil, Base's DialContext does, and the TCP connections that it returns
	// are adopted; without a Base, a Dialer of the Transport's own.
	Dialer *dialer.Dialer

	// MaxConnsPerHost bounds the connections of one host, those being dialled
	// included. Requests beyond it wait for one, first come, first served.
	// If zero, it is Base's, and unlimited if Base has none.
	MaxConnsPerHost int

	// MinConnsPerHost is how many connections to a host are kept, once there was
	// a request for it or Warm: IdleTimeout does not bring them below, and one
	// that leaves is replaced, until CloseIdleConnections or Shutdown. The
	// host's own idle limit still counts; Ping.HTTP1 keeps connections within it.
	// No more are kept than other limits allow, or allow to rest. A host that is
	// down, or hangs up at once, is dialled less and less: every 8 to 16 s in the end.
	// If zero, connections are made for requests only.
	MinConnsPerHost int

	// MaxIdlePerHost bounds the connections of one host that rest.
	// If zero, it is Base's MaxIdleConnsPerHost, and unlimited if Base has
	// none: connections leave by time, not because they are the third.
	// Base's MaxIdleConns, if set, bounds those of all hosts together.
	// If negative, no connection rests: each request is its connection's last.
	MaxIdlePerHost int

	// MaxWaiters bounds the requests of one host that wait for a connection
	// without one being dialled for them; one more fails with ErrBusy.
	// If zero, it is unlimited.
	MaxWaiters int

	// MaxDialsPerHost bounds the dials to one host that are in progress.
	// If zero, it is 64.
	MaxDialsPerHost int

	// IdleTimeout is how long a connection rests before it leaves: between 90 and
	// 100 % of it, as chosen at its birth, so that connections that came to
	// rest together do not leave together. One that its server closes
	// earlier, as its "Keep-Alive: timeout=" says or as has been seen, is not
	// lent any more shortly before that, so that no request is lost.
	// If zero, it is Base's IdleConnTimeout, and 90 seconds if Base has none.
	// If negative, it is unlimited.
	IdleTimeout time.Duration

	// MaxAge is how long a connection lives. It leaves when between 80 and 100 %
	// of MaxAge have passed, as chosen at its birth. The request that finds it
	// old has another dialled in its place, as MaxConnsPerHost allows, and when
	// that has come the next one says goodbye ("Connection: close"). The name
	// is looked up anew: with MaxAge set, a pool follows DNS.
	// If zero, it is unlimited.
	MaxAge time.Duration

	// MaxRequests is how many requests a connection carries at most: between 80
	// and 100 % of it, as chosen at its birth. The last says goodbye
	// ("Connection: close"). A server's "Keep-Alive: max=" counts as well.
	// If zero, it is unlimited.
	MaxRequests int

	// Ping keeps connections alive, and finds those that are dead.
	Ping PingConfig

	// AskToClose has a plaintext HTTP/1.1 connection that has rested for
	// IdleTimeout send "OPTIONS *" with "Connection: close", so that the
	// server closes first. It is for platforms other than Linux, and for
	// peers that must not see a reset.
	AskToClose bool

	// Order is the order in which resting connections are lent.
	// The zero Order, LIFO, lets a pool shrink by itself.
	Order Order

	// LongBody is for how long a response's body may be open before that is
	// reported, once, as an Event of kind Held, and counted. It makes each
	// request some two microseconds dearer, since where it came from is noted.
	// If zero, bodies are not watched, but for those that the program forgets.
	LongBody time.Duration

	// Meter counts.
	// If nil, it is the Dialer's, or else one of the Transport's own. The
	// connections of the Transport are counted by this Meter alone.
	Meter *metrics.Meter

	// Events is told what happens to connections and to the requests that need
	// them, on the goroutine on which it happens and without a lock held: it
	// must not wait. What happens at the same time on several goroutines is
	// told in any order.
	// If nil, nobody is.
	Events func(Event)

	// Logger is told of the same, at level Debug, and of what is wrong with the
	// program (response bodies that were not closed, or are open for long) at
	// level Warn, once for each line of the program. Once it is told, at level
	// Warn, of a Base with an HTTP/2 that is not net/http's.
	// If nil, nobody is.
	Logger *slog.Logger

	once  sync.Once
	cfg   config // set by once
	own   dialer.Dialer
	meter metrics.Meter

	resting atomic.Int64 // connections that rest, in all groups

	serial atomic.Uint64 // of the connections
	calm   calmHosts
	sites  sites // that Logger knows

	closed atomic.Bool   // after Shutdown
	conns  atomic.Int64  // connections and dials that have not come to their end
	none   chan struct{} // closed when conns falls to 0 after Shutdown
	empty  sync.Once     // closes none

	mu     sync.RWMutex // guards groups; taken before a group's mu
	groups map[Key]*group
}

// An Order is the order in which resting connections are lent.
type Order uint8

const (
	// LIFO lends the connection that has rested for the shortest time, so that
	// those that are not needed grow idle and leave.
	LIFO Order = iota

	// FIFO lends the one that has rested for the longest time, which spreads
	// requests evenly, as a balancer below TCP may want it.
	FIFO
)

// RoundTrip sends the request on a connection of the pool. It has the contract
// of [http.Transport.RoundTrip].
//
// It fails with an error that wraps [ErrClosed] after Shutdown, and [ErrBusy]
// when MaxWaiters requests wait already.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req == nil {
		return nil, errNilRequest
	}
	if err := t.init(); err != nil {
		closeBody(req)
		return nil, err
	}
	if req.URL != nil && t.cfg.foreign(t.Base, req.URL.Scheme) {
		return t.Base.RoundTrip(req)
	}
	if err := validate(req); err != nil {
		closeBody(req)
		return nil, err
	}
	key, proxy, err := t.cfg.keyOf(req)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	return t.try(req, key, proxy)
}

// Shutdown ends the pool: it lets no new request in, waits until those under
// way are done and their bodies closed, says every goodbye and waits for the endings.
//
// If ctx ends first, Shutdown returns an error that wraps its cause and says
// what it did not wait for. That goes on by itself, and Shutdown may be called
// again.
func (t *Transport) Shutdown(ctx context.Context) error {
	if err := t.init(); err != nil {
		return err
	}
	t.mu.Lock()
	t.closed.Store(true) // under the lock that group takes: no group is made after it
	t.mu.Unlock()
	t.cfg.stop()
	for _, g := range t.allGroups() {
		g.shutdown()
	}
	if err := t.awaitConns(ctx); err != nil {
		return err
	}
	return t.cfg.dialer.Shutdown(ctx)
}

// Stats returns the accounts as they stand.
func (t *Transport) Stats() metrics.Snapshot {
	if t.init() != nil {
		return metrics.Snapshot{}
	}
	return t.cfg.meter.Snapshot()
}

// Accounts returns the Meter that counts: t.Meter, or t's own. It is nil if a
// field of t cannot be used.
func (t *Transport) Accounts() *metrics.Meter {
	if t.init() != nil {
		return nil
	}
	return t.cfg.meter
}

// Warm opens connections to the host of url, handshakes included, as many as
// there are fewer than n at rest, or as the limits allow, and returns when that
// is done, or the first error. On HTTP/2 too n means connections, not requests.
// Requests may take them meanwhile.
func (t *Transport) Warm(ctx context.Context, url string, n int) error {
	if err := t.init(); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if err := validate(req); err != nil {
		return err
	}
	key, proxy, err := t.cfg.keyOf(req)
	if err != nil {
		return err
	}
	return t.warm(ctx, key, proxy, n)
}

// group returns the connections of the key, whose proxy is given.
func (t *Transport) group(k Key, proxy *url.URL) (*group, error) {
	t.mu.RLock()
	g := t.groups[k]
	t.mu.RUnlock()
	if t.closed.Load() {
		return nil, &Error{Op: "lease", Key: k, Err: ErrClosed}
	}
	if g != nil {
		return g, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed.Load() {
		return nil, &Error{Op: "lease", Key: k, Err: ErrClosed}
	}
	if g = t.groups[k]; g == nil {
		g = newGroup(t, k, proxy)
		if t.groups == nil {
			t.groups = make(map[Key]*group)
		}
		t.groups[k] = g
	}
	return g, nil
}

func (t *Transport) allGroups() []*group {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]*group, 0, len(t.groups))
	for _, g := range t.groups {
		all = append(all, g)
	}
	return all
}

// enter counts a dial, which becomes a connection. It reports false after
// Shutdown.
func (t *Transport) enter() bool {
	t.conns.Add(1)
	if t.closed.Load() {
		t.exit()
		return false
	}
	return true
}

// exit counts a dial that failed, or a connection that has left. After
// Shutdown nothing enters any more, so that the first 0 is the last.
func (t *Transport) exit() {
	if t.conns.Add(-1) == 0 && t.closed.Load() {
		t.empty.Do(func() { close(t.none) })
	}
}

// awaitConns waits until there is neither connection nor dial, after Shutdown.
func (t *Transport) awaitConns(ctx context.Context) error {
	if t.conns.Load() == 0 {
		return nil
	}
	select {
	case <-t.none:
		return nil
	case <-ctx.Done():
		return &ShutdownError{Conns: int(t.conns.Load()), Err: context.Cause(ctx)}
	}
}
