package grpcpool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"github.com/lastack/lastack/metrics"
)

const (
	connectLimit = 20 * time.Second // for a channel to connect that others are to be helped by; grpc-go gives a dial as much
	primeLimit   = 20 * time.Second

	// A connection that was lost within briefLife counts as one that could not
	// be made when it comes to dialling the next: a server that hangs up at once is not
	// called again and again.
	briefLife   = time.Second
	reviveFirst = 100 * time.Millisecond
	reviveMax   = 30 * time.Second
)

// A channel is one *grpc.ClientConn of a pool, which has one connection, or one
// to each of several addresses, as its balancer likes.
//
//	joining ─► serving ─► draining ─► closed
//
// Its goroutine connects it, primes it, and then watches what state it is in;
// the pool's manager says which part of its life it is in.
type channel struct {
	p        *ClientConn
	cc       *grpc.ClientConn
	calm     int64         // its keepalive time
	life     time.Duration // of its connection; 0: unlimited
	stop     context.CancelFunc
	_        [64]byte     // what calls change apart from what they read
	calls    atomic.Int64 // that have been given the channel and have not ended; negative: it is closed
	peak     atomic.Int64 // the most there were since the manager looked
	lent     atomic.Bool
	_        [64]byte
	limit    atomic.Int64 // streams that are free if there are no calls
	mark     atomic.Int64 // more calls than that, and the manager is to look
	state    atomic.Int32 // connectivity.State
	leaving  atomic.Bool  // it is draining
	outcome  atomic.Int32 // of joining
	timeouts atomic.Int64 // calls in a row that were not answered in time
	hung     atomic.Bool  // they were too many, and nothing came meanwhile
	answered atomic.Int64 // when the last call was, if that was worth a note; nanoseconds on the pool's clock
	bad      atomic.Int64 // until when errors count as load; 0: they don't
	ready    atomic.Int64 // since when it is connected; 0: it is not
	failing  atomic.Int64 // since when it cannot be connected; 0: it can

	why       string      // it is dialled for the first time
	connected atomic.Bool // it has been

	unprimed bool // its goroutine's: it serves, and was never connected

	// of the manager
	phase    phase
	replaces *channel // whose place it takes once it serves
	replaced bool     // another is to take its place
	reason   string   // why it leaves

	mu    sync.Mutex
	lines map[*line]struct{} // its connections that the server has been heard on
	wires []wire             // those that may be alive

	accounts atomic.Pointer[[]*metrics.Conn] // of wires; changed while mu is held
	untold   atomic.Int64                    // calls that the accounts do not know of
}

type phase uint8

const (
	joining phase = iota
	serving
	draining
)

// The outcomes of joining.
const (
	pending int32 = iota
	joined
	failed
)

// newChannel makes a channel that does nothing yet.
func (p *ClientConn) newChannel() (*channel, error) {
	c := &channel{p: p, why: metrics.Asked, calm: p.calm.Load(), lines: make(map[*line]struct{})}
	if age := p.config.MaxAge; age > 0 {
		c.life = age - rand.N(age/5+1)
	}
	c.limit.Store(c.guess())
	c.mark.Store(math.MaxInt64)
	keep := p.config.Keepalive
	keep.Time = time.Duration(c.calm)
	opts := []grpc.DialOption{
		grpc.WithContextDialer(c.dial),
		grpc.WithKeepaliveParams(keep),
	}
	if o := p.dialing.observer; o != nil {
		opts = append(opts, grpc.WithStatsHandler(o))
	}
	opts = append(opts, p.options...)
	if proxyConfigured() {
		opts = append(opts, grpc.WithResolvers(viaProxy{})) // of resolvers the first wins
	}
	// The pool knows better which channels are needed: it would connect one again
	// that goes idle.
	opts = append(opts, grpc.WithIdleTimeout(0))
	if creds := p.config.Credentials; creds != nil {
		opts = append(opts, grpc.WithTransportCredentials(observing(creds, c.open)))
	}
	cc, err := grpc.NewClient(p.target, opts...)
	if err != nil {
		return nil, err
	}
	c.cc = cc
	c.state.Store(int32(connectivity.Idle))
	return c, nil
}

// live is the channel's goroutine. It ends with ctx.
func (c *channel) live(ctx context.Context, eager, joins bool) {
	if joins {
		err := c.join(ctx)
		if err == nil {
			c.outcome.Store(joined)
		} else {
			c.unprimed = err == errNotConnected && c.p.config.Prime != nil
			c.outcome.Store(failed)
			if ctx.Err() == nil {
				c.p.config.Logger.Warn("grpcpool: a channel could not join", "target", c.p.target, "err", err)
			}
		}
		c.p.nudge()
	}
	c.watch(ctx, eager)
}

// join connects the channel and primes it.
func (c *channel) join(ctx context.Context) error {
	if err := c.connect(ctx); err != nil || c.p.config.Prime == nil {
		return err
	}
	return c.prime(ctx)
}

func (c *channel) prime(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, primeLimit)
	defer cancel()
	if err := c.p.config.Prime(ctx, c.cc); err != nil {
		return fmt.Errorf("prime: %w", err)
	}
	return nil
}

var errNotConnected = errors.New("it could not be connected")

// connect waits until the channel is connected.
func (c *channel) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	c.cc.Connect()
	for began := false; ; {
		s := c.cc.GetState()
		c.note(s)
		switch s {
		case connectivity.Ready:
			return nil
		case connectivity.TransientFailure, connectivity.Shutdown:
			return errNotConnected
		case connectivity.Idle:
			if began {
				return errNotConnected // it was, and its server has hung up
			}
		case connectivity.Connecting:
			began = true
		}
		if !c.cc.WaitForStateChange(ctx, s) {
			return errNotConnected
		}
	}
}

// watch notes the channel's state as it changes, and connects it again when its
// server hangs up. A channel that was not to be connected is not before a call does,
// and one that may rest is connected again by the next call.
func (c *channel) watch(ctx context.Context, warm bool) {
	pause := time.Duration(0)
	for {
		s := c.cc.GetState()
		if s == connectivity.Shutdown {
			return
		}
		if s != connectivity.Ready {
			if since := c.ready.Load(); since != 0 {
				pause = nextPause(pause, c.p.now()-time.Duration(since))
			}
		}
		if s == connectivity.Ready && c.unprimed {
			// It serves because there is no other, and calls wait until it is
			// seen to be connected.
			c.unprimed = false
			if err := c.prime(ctx); err != nil && ctx.Err() == nil {
				c.p.config.Logger.Warn("grpcpool: the only channel serves as it is", "target", c.p.target, "err", err)
			}
			continue
		}
		if c.note(s) {
			c.p.nudge()
		}
		warm = warm || s != connectivity.Idle
		if s == connectivity.Idle && warm && !c.leaving.Load() && !c.mayRest() {
			if !c.idle(ctx, pause) {
				return
			}
			c.cc.Connect()
		}
		if !c.cc.WaitForStateChange(ctx, s) {
			return
		}
	}
}

// mayRest reports whether nobody asks for the channel to be connected: the pool is
// not to keep any, and it is the only one. A server that closes connections at rest
// would close the next as well, and so on for good.
func (c *channel) mayRest() bool {
	config := &c.p.config
	return config.MinConns == 0 && config.Prime == nil &&
		len(*c.p.set.Load()) == 1 && c.calls.Load() == 0 && c.p.waiting.Load() == 0
}

// nextPause returns how long to wait before a channel is connected again whose
// connection lived for so long.
func nextPause(pause, lived time.Duration) time.Duration {
	if lived >= briefLife {
		return 0
	}
	return min(max(2*pause, reviveFirst), reviveMax)
}

// idle waits for the pause, or until the channel is not idle any more. It reports
// false if ctx ends first.
func (c *channel) idle(ctx context.Context, pause time.Duration) bool {
	if pause == 0 {
		return true
	}
	wait, cancel := context.WithTimeout(ctx, pause-rand.N(pause/4))
	defer cancel()
	c.cc.WaitForStateChange(wait, connectivity.Idle)
	return ctx.Err() == nil
}

// note notes the channel's state, and reports whether it is another than before.
func (c *channel) note(s connectivity.State) bool {
	if connectivity.State(c.state.Swap(int32(s))) == s {
		return false
	}
	now := int64(c.p.now())
	if s == connectivity.Ready {
		c.ready.Store(max(now, 1))
		c.failing.Store(0)
		c.timeouts.Store(0) // those of another connection
		c.hung.Store(false)
	} else {
		c.ready.Store(0)
	}
	c.measure()
	if s == connectivity.TransientFailure {
		c.failing.CompareAndSwap(0, max(now, 1))
	}
	return true
}

// reserve counts a call if the channel has a stream free for it.
func (c *channel) reserve() bool {
	for {
		n := c.calls.Load()
		if n < 0 || n >= c.limit.Load() {
			return false
		}
		if c.calls.CompareAndSwap(n, n+1) {
			c.counted(n + 1)
			return true
		}
	}
}

// force counts a call, which will wait for a stream in grpc-go if none is free.
// It reports false if the channel is closed.
func (c *channel) force() bool {
	for {
		n := c.calls.Load()
		if n < 0 {
			return false
		}
		if c.calls.CompareAndSwap(n, n+1) {
			c.counted(n + 1)
			return true
		}
	}
}

// counted is called when there are n calls, one more than before.
func (c *channel) counted(n int64) {
	for peak := c.peak.Load(); n > peak && !c.peak.CompareAndSwap(peak, n); {
		peak = c.peak.Load()
	}
	if n == 1 {
		c.settle()
	}
	if n > c.mark.Load() {
		c.p.nudge()
	}
}

// release takes back what reserve or force counted.
func (c *channel) release() {
	n := c.calls.Add(-1)
	if n == 0 {
		c.settle()
	}
	// A call that finds no stream free is counted as waiting before it looks a
	// last time; so either it sees this one, or is seen here. In the same way a
	// channel is said to leave before its calls are looked at.
	if c.p.waiting.Load() > 0 {
		c.p.serve()
	}
	if n == 0 && c.leaving.Load() {
		c.p.nudge()
	}
}

// tryClose closes the channel to calls if there are none.
func (c *channel) tryClose() bool { return c.calls.CompareAndSwap(0, math.MinInt64/2) }

// is reports whether the channel was last seen in the state s.
func (c *channel) is(s connectivity.State) bool { return connectivity.State(c.state.Load()) == s }

// now returns the time on the pool's clock.
func (p *ClientConn) now() time.Duration { return time.Since(p.start) }
