package pool

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// A conn is one connection of a group: an HTTP/1.1 connection with one slot, or an
// HTTP/2 connection with many.
//
// Its ClientConn calls onState from within Reserve, RoundTrip and Close, so none
// of these is called under a lock; Err, Available and InFlight call nothing.
type conn struct {
	g      *group
	cc     *http.ClientConn
	raw    net.Conn     // what net/http reads and writes; for httptrace
	nc     *linger.Conn // nil: unmanaged
	life   *metrics.Conn
	h2     bool // HTTP/2, or as good as: many requests share it
	alt    bool // a protocol of Base.TLSNextProto
	tls    bool
	born   time.Time
	number uint64      // in its Transport
	fresh  atomic.Bool // no request has succeeded on it
	parted atomic.Bool // a WebSocket's Close frame was sent

	pingAfter time.Duration // how long nothing may come from the server before it is pinged; 0: for ever

	current atomic.Pointer[exchange] // HTTP/1.1: whose turn it is
	looking atomic.Bool              // somebody is in nc.Pending

	// pending is how many requests were given a slot that is not reserved yet.
	// It rises under g.mu, and falls also without.
	pending atomic.Int32

	// calls is how many requests are in the RoundTrip of an HTTP/2 connection.
	calls atomic.Int32

	// Guarded by g.mu.
	where    place
	streams  int       // requests that were given a slot and are not done
	early    int       // of those that are done, how many their callers are not done with
	settled  bool      // HTTP/2: the server's SETTINGS are known
	uses     int       // requests that were given a slot, ever
	leased   time.Time // HTTP/1.1: when it was last given to one
	rested   time.Time // since when it rests
	pinged   time.Time // when it last was pinged, or came to rest
	oldAt    time.Time // when it is to be replaced; zero: never
	dueAt    time.Time // when the next request is its last
	ancient  time.Time // when it leaves even if it rests
	maxUses  int       // how many requests it carries; 0: unlimited
	reason   string    // why it leaves
	audited  bool      // an audit is due
	waited   bool      // requests waited for a stream at the last one
	usesThen int       // uses at the last one
	pinging  bool      // the request under way is a ping of the pool's own
	settler  *time.Timer

	replacing bool // another is being dialled in its place
	replaced  bool // and has come

	idle      time.Duration // how long it may rest, with jitter
	idleUntil time.Time     // when it has rested for that long; zero: never

	// What the server has said or shown of how long it keeps the connection.
	announced  bool          // in a Keep-Alive field:
	serverIdle time.Duration // how long it may rest
	spent      bool          // it takes no more requests
	lendUntil  time.Time     // when it is lent no more; zero: unknown
	watchUntil time.Time     // when the server should have closed it
	retired    bool          // it rests, and is not lent any more
}

// A place is where a connection is in its life.
type place uint8

const (
	// coming: it is dialled, and not the group's yet, which looks at its state
	// when it is.
	coming place = iota

	// busy: it serves requests, or is about to. An HTTP/2 connection that is
	// busy may take more.
	busy

	// resting: it serves none and may be lent.
	resting

	// leaving: it is not lent any more, and is closed when its last request is done.
	leaving

	// gone: the group has forgotten it.
	gone
)

// settingsWait is how long requests wait for a new HTTP/2 connection to know its
// limit before another is dialled for them.
//
// Until the server's SETTINGS have come a connection carries one request only:
// reservations beyond what SETTINGS then allow would block one another for
// ever. The first response shows that they have, and so does a limit that they
// change. If they leave it where it was nothing does, so that after this time
// they are taken to have come: they follow the handshake at once. Where the kernel
// tells that nothing at all has come since, because the way is long or a packet got
// lost, they have not, and get more time: ten times as much, at most. Requests
// that wait meanwhile have another connection dialled.
const settingsWait = 100 * time.Millisecond

// guessedStreams is what an HTTP/2 connection allows before SETTINGS say so.
const guessedStreams = 100

// newConn makes of cc a connection that is coming to the group.
func (g *group) newConn(cc *http.ClientConn, b *dialBirth) *conn {
	c := &conn{
		g: g, cc: cc, raw: b.raw, nc: b.conn, life: b.life,
		tls:    g.usesTLS(),
		born:   time.Now(),
		number: g.t.serial.Add(1),
	}
	c.h2 = c.tls && b.proto == "h2" || !c.tls && g.t.cfg.h2c && !g.key.HTTP1
	if c.tls && !c.h2 && !g.key.HTTP1 && g.t.cfg.any.TLSNextProto[b.proto] != nil {
		c.h2, c.alt = true, true
	}
	c.fresh.Store(true)
	switch {
	case c.h2:
		c.pingAfter = b.ping
	case g.t.Ping.pingsHTTP1():
		c.pingAfter = jittered(g.t.Ping.Interval)
	}
	c.limit(&g.t.cfg)
	c.tell(c.restFact())
	cc.SetStateHook(func(*http.ClientConn) { c.onState() })
	switch {
	case c.h2:
		g.host.Multiplexed()
	case c.tls:
		g.host.TLS()
	}
	return c
}

// limit sets the bounds of c's life, with jitter, so that connections born
// together do not leave together.
func (c *conn) limit(cfg *config) {
	if age := cfg.maxAge; age > 0 {
		c.oldAt = c.born.Add(age*8/10 + rand.N(age/10+1))
		c.dueAt = c.oldAt.Add(age / 20)
		c.ancient = c.oldAt.Add(age / 10)
	}
	if n := cfg.maxRequests; n > 0 {
		c.maxUses = n - rand.N(n/5+1)
	}
	if cfg.idle > 0 {
		c.idle = cfg.idle - rand.N(cfg.idle/10+1)
	}
}

// usesTLS reports whether the connections of the group speak TLS, to the server
// or to a proxy before it.
func (g *group) usesTLS() bool {
	return g.key.Scheme == "https" || strings.HasPrefix(g.key.Proxy, "https:")
}

func (c *conn) tell(f linger.Fact) {
	if c.nc != nil {
		c.nc.Tell(f)
	}
}

// restFact is what is known of the connection while no request is under way.
func (c *conn) restFact() linger.Fact {
	switch {
	case c.tls:
		return linger.Owed // crypto/tls says close_notify as it closes
	case c.h2:
		return linger.RestingHTTP2
	}
	return linger.Complete
}

// slotsLocked returns how many more requests the connection may be given.
func (c *conn) slotsLocked() int {
	if c.where >= leaving || c.cc.Err() != nil {
		return 0
	}
	if !c.h2 {
		return 1 - c.streams
	}
	if c.maxUses > 0 && c.uses >= c.maxUses {
		return 0
	}
	inFlight := c.cc.InFlight() // before Available: what is reserved in between counts twice, and not as free
	available := c.cc.Available()
	if !c.settled {
		if !c.fresh.Load() || available+inFlight != guessedStreams {
			c.settled = true
		} else {
			return 1 - c.streams
		}
	}
	// Slots that were given but are not reserved yet are still available; streams
	// whose callers are done may not be, for an instant. If that leaves one too
	// few, reserve says so.
	return min(available, available+inFlight-c.streams)
}

// deadLocked reports whether an HTTP/2 connection rests and takes no more
// requests: the server has said GOAWAY, which no call of the hook tells.
func (c *conn) deadLocked() bool {
	// Its last streams may only be ending: first none is left, and then there is room.
	return c.h2 && c.where == resting && c.cc.Err() == nil && c.cc.InFlight() == 0 && c.cc.Available() == 0
}

// takeLocked gives a slot to a request.
func (c *conn) takeLocked() {
	c.streams++
	c.pending.Add(1)
	c.uses++
	c.tell(linger.Underway)
	c.auditLocked()
	if c.h2 && !c.settled && c.settler == nil {
		c.settler = time.AfterFunc(settingsWait, c.settleLate)
	}
}

// settleLate takes the server's SETTINGS to have come, unless they cannot have.
func (c *conn) settleLate() {
	if c.nc != nil {
		const tick = 10 * time.Millisecond // of the kernel's clock, at most
		age := time.Since(c.born)
		if silence, open := c.nc.Silence(); open && age < 10*settingsWait && silence >= age-tick {
			c.g.mu.Lock()
			if c.where < leaving {
				c.settler.Reset(settingsWait)
			}
			c.g.mu.Unlock()
			c.g.dialMore()
			return
		}
	}
	c.settle()
	c.g.dialMore()
}

// settle says that the server's SETTINGS are known, or as good as.
func (c *conn) settle() {
	c.g.mu.Lock()
	c.settled = true
	if c.cc.Err() == nil {
		c.g.streams = max(1, c.cc.Available()+c.cc.InFlight())
	}
	c.g.serveLocked()
	c.g.mu.Unlock()
}

// reserve turns a slot that was given into a reservation in the ClientConn. It
// fails if the connection has died; then the slot is given back.
//
// The one slot of an HTTP/1.1 connection needs no reservation: nobody else uses
// its ClientConn.
func (c *conn) reserve() error {
	err := c.cc.Err()
	if c.h2 {
		err = c.cc.Reserve()
	}
	if err == nil {
		c.pending.Add(-1)
		return nil
	}
	if c.cc.Err() == nil {
		err = errGoAway // it is alive, and takes no more requests
		if c.cc.InFlight() > 0 {
			// Or not now. If the server is going away there is never room
			// again, and net/http closes at the last response.
			c.giveBack()
			return errFull
		}
	}
	c.discard(metrics.GoAway)
	return err
}

// errFull is for the caller to look for another slot.
var errFull = errors.New("connection is full")

// errGoAway is the error of a request that an HTTP/2 connection does not take
// any more, in net/http's words.
var errGoAway = errors.New("http2: client conn not usable")

// stale reports whether the connection is seen to be dead, or not to be where
// the pool believes it is, just before it is lent: the server has closed, or
// has sent something that nobody asked for. Bytes that wait on a TLS or HTTP/2
// connection may be the protocol's own.
func (c *conn) stale() bool {
	if c.nc == nil || !c.looking.CompareAndSwap(false, true) {
		return false
	}
	defer c.looking.Store(false)
	data, closed := c.nc.Pending()
	return closed || data && !c.tls && !c.h2
}

// discard gives the slot back that was taken, and has the connection lent no
// more; it is closed when it has no other request.
func (c *conn) discard(reason string) {
	g := c.g
	g.mu.Lock()
	c.pending.Add(-1)
	c.streams--
	if reason == metrics.Stale {
		c.closedAtRestLocked()
	}
	if c.cc.Err() == nil || reason == metrics.Stale {
		g.leaveLocked(c, reason)
	}
	idle := c.where == leaving && c.streams == 0
	g.mu.Unlock()
	if idle {
		c.close()
	}
	c.onState() // what it was called for while the slot was pending, it has ignored
}

// lastLocked reports whether the request that was just given the connection is
// the last that it carries.
func (c *conn) lastLocked(now time.Time) (reason string, last bool) {
	switch {
	case c.maxUses > 0 && c.uses >= c.maxUses:
		return metrics.MaxRequests, true
	case c.replaced, !c.dueAt.IsZero() && now.After(c.dueAt):
		return metrics.MaxAge, true
	}
	return "", false
}
