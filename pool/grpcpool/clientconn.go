package grpcpool

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/lastack/lastack/metrics"
)

// A ClientConn is a [grpc.ClientConnInterface] over several channels to one
// target, as many as its calls need; [NewClient] makes it. Its methods may be
// called concurrently.
//
// A call goes to the less loaded of two channels. When the streams that the
// server allows run short another channel is connected, and calls that find none
// free wait for it, or for a stream, first come, first served. Channels that
// are not needed any more leave, and so do those that are too old or hang, when
// their calls have ended.
//
// While no channel can connect a call fares as with a channel of grpc-go: it
// fails with the same error, or waits if it is to wait for ready.
type ClientConn struct {
	target   string
	config   Config // no zero stands for a default
	options  []grpc.DialOption
	dialing  *dialing
	limited  bool // a channel's streams are known, not guessed
	gate     *gate
	host     *metrics.Host
	dialFunc dialFunc  // in place of dialing; or nil
	start    time.Time // what channels count time from

	set     atomic.Pointer[[]*channel] // those that serve; replaced, never changed
	open    atomic.Pointer[[]*channel] // the same, for new calls; none once the pool is to close
	waiting atomic.Int64               // the length of queue
	known   atomic.Int64               // the streams that a connection was last allowed; negative: not known
	calm    atomic.Int64               // keepalive time of new channels

	nudges    chan struct{} // has one when the manager is to look
	recovered atomic.Bool   // the target answers again
	cut       chan struct{} // closed when no call is waited for any more
	cutOnce   sync.Once
	done      chan struct{} // closed when all channels are
	lost      ShutdownError // calls that were cut; to be read when done
	closed    atomic.Bool   // Close was called, or Shutdown is over

	own     *grpc.ClientConn // Conn's
	ownOnce sync.Once

	manager manager // its own

	// mu is held while calls are made to wait, or are given a channel. It is
	// never held together with a channel's.
	mu      sync.Mutex
	queue   waiterQueue
	mayGrow bool // a call that finds no stream free is to wait
	refuse  bool // no new calls
	over    bool // own is closed, or will be when it is made
}

// A dialFunc is what grpc.WithContextDialer takes.
type dialFunc = func(ctx context.Context, address string) (net.Conn, error)

var _ grpc.ClientConnInterface = (*ClientConn)(nil)

// NewClient returns a pool of channels to the target, which is what
// [grpc.NewClient] takes. The options come after the pool's own, which are those
// of [DialOptions], so that they win; but for credentials, which are better given
// in the Config, and WithIdleTimeout, which has no effect. WithCredentialsBundle
// does not go with credentials in the Config.
//
// Nothing is connected before the first call, unless c.MinConns or c.Prime asks for it.
// Whoever has no use for the pool any more calls Close or Shutdown.
func NewClient(target string, c Config, opts ...grpc.DialOption) (*ClientConn, error) {
	return newClient(target, c, nil, opts)
}

// newClient lets a test bring its own dialing.
func newClient(target string, c Config, dial dialFunc, opts []grpc.DialOption) (*ClientConn, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	limited := c.Credentials != nil || c.Streams > 0
	c = c.withDefaults()
	p := &ClientConn{
		limited:  limited,
		target:   target,
		config:   c,
		options:  slices.Clone(opts), // the caller may go on to use its own
		dialing:  newDialing(c.Dialer),
		dialFunc: dial,
		host:     c.Meter.Host(target),
		start:    time.Now(),
		nudges:   make(chan struct{}, 1),
		cut:      make(chan struct{}),
		done:     make(chan struct{}),
		mayGrow:  true,
	}
	p.host.Multiplexed()
	p.dialing.host = p.host
	p.dialing.userTimeout = c.Keepalive.Timeout // as grpc-go has it
	if c.Events != nil {
		p.dialing.observer = newObserver(c.Events)
	}
	p.gate = newGate(func() { p.recovered.Store(true); p.nudge() })
	p.known.Store(-1)
	p.calm.Store(int64(c.Keepalive.Time))
	p.set.Store(new([]*channel))
	p.open.Store(new([]*channel))
	if err := p.begin(); err != nil {
		return nil, err
	}
	go p.manage()
	return p, nil
}

// Invoke makes a call with one request and one response, as
// [grpc.ClientConn.Invoke] does.
func (p *ClientConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) (err error) {
	c, at, err := p.lease(ctx)
	if err != nil {
		return err
	}
	defer func() { c.finish(at, err) }() // even if an interceptor panics
	return c.cc.Invoke(ctx, method, args, reply, opts...)
}

// NewStream begins a streaming call, as [grpc.ClientConn.NewStream] does. Its
// channel carries it until it ends in one of the ways that are listed there.
func (p *ClientConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	c, at, err := p.lease(ctx)
	if err != nil {
		return nil, err
	}
	return newStream(ctx, c, at, desc, method, opts)
}

// lease counts a call and picks its channel. It returns since when the call has
// that, which finish is to be told.
func (p *ClientConn) lease(ctx context.Context) (*channel, time.Time, error) {
	p.host.Request()
	c, err := p.choose(ctx)
	if err != nil {
		p.host.Done()
		return nil, time.Time{}, err
	}
	now := time.Now()
	p.host.Lease(now, c.lent.Load() || c.lent.Swap(true))
	c.leased(1, now)
	return c, now, nil
}

// choose picks a channel, or waits for one.
func (p *ClientConn) choose(ctx context.Context) (*channel, error) {
	if err := ctx.Err(); err != nil {
		return nil, status.FromContextError(err).Err() // it would say something of the channel that is not so
	}
	if c := p.pick(); c != nil {
		return c, nil
	}
	return p.wait(ctx)
}

// Conn returns a channel of grpc-go's own to the same target, for those who need
// a *grpc.ClientConn. It connects like the pool's channels, but is not one of
// them: always the same, it is neither replaced nor scaled. It is closed with
// the pool, which does not wait for its calls.
func (p *ClientConn) Conn() *grpc.ClientConn {
	p.ownOnce.Do(func() {
		c, err := p.newChannel()
		if err != nil {
			panic(err) // the first channel was made of the same
		}
		p.mu.Lock()
		p.own = c.cc
		over := p.over
		p.mu.Unlock()
		if over {
			c.cc.Close()
		}
	})
	return p.own
}

// Accounts returns the Meter that counts: Config.Meter, or the pool's own.
func (p *ClientConn) Accounts() *metrics.Meter { return p.config.Meter }

// Stats returns the accounts of the Meter.
func (p *ClientConn) Stats() metrics.Snapshot { return p.config.Meter.Snapshot() }

// Close closes all channels. Calls under way fail. A second Close returns
// [grpc.ErrClientConnClosing].
func (p *ClientConn) Close() error {
	if p.closed.Swap(true) {
		return grpc.ErrClientConnClosing
	}
	p.refuseCalls()
	p.cutCalls()
	<-p.done
	return nil
}

// Shutdown ends the pool in peace: from now on calls fail as they do after Close,
// those under way are waited for, then the channels are closed, and their
// connections' farewells are waited for as well; if the Dialer is shared, so are
// those of its others.
//
// If ctx ends first, the calls that are left are cut as by Close, and the error
// is a [*ShutdownError]. Once the pool is closed Shutdown waits for farewells only.
func (p *ClientConn) Shutdown(ctx context.Context) error {
	p.refuseCalls()
	select {
	case <-p.done:
		return p.farewell(ctx)
	default:
	}
	err := grpc.ErrClientConnClosing // if calls are cut, then by Close
	select {
	case <-p.done:
	case <-ctx.Done():
		err = context.Cause(ctx)
		p.cutCalls()
		<-p.done
	}
	p.closed.Store(true)
	if p.lost.Calls > 0 {
		lost := p.lost
		lost.Err = err
		return &lost
	}
	return p.farewell(ctx)
}

// farewell waits for the connections' farewells.
func (p *ClientConn) farewell(ctx context.Context) error {
	if err := p.config.Dialer.Shutdown(ctx); err != nil {
		return &ShutdownError{Err: err}
	}
	return nil
}

// refuseCalls has all new calls fail. Those that wait for a channel are under
// way.
func (p *ClientConn) refuseCalls() {
	p.mu.Lock()
	p.refuse = true
	p.open.Store(new([]*channel))
	p.mu.Unlock()
	p.nudge()
}

// cutCalls has the manager wait for no call any more.
func (p *ClientConn) cutCalls() { p.cutOnce.Do(func() { close(p.cut) }) }

// nudge has the manager look.
func (p *ClientConn) nudge() {
	select {
	case p.nudges <- struct{}{}:
	default: // it will
	}
}
