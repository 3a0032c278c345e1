package grpcpool

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/test/bufconn"
)

// A memnet is a network in memory with one server on it, for tests whose time
// is synctest's.
type memnet struct {
	dials atomic.Int64

	mu    sync.Mutex
	l     *bufconn.Listener
	down  bool          // dials fail
	slow  time.Duration // and take so long
	conns []*memconn
}

var errDown = errors.New("the network is down")

func newMemnet(t testing.TB, e *echo, opts ...grpc.ServerOption) *memnet {
	n := &memnet{l: bufconn.Listen(1 << 16)}
	e.on(t, n.l, opts...)
	return n
}

func (n *memnet) dial(ctx context.Context, _ string) (net.Conn, error) {
	n.dials.Add(1)
	n.mu.Lock()
	slow, down, l := n.slow, n.down, n.l
	n.mu.Unlock()
	if err := sleep(ctx, slow); err != nil {
		return nil, err
	}
	if down {
		return nil, errDown
	}
	c, err := l.DialContext(ctx)
	if err != nil {
		return nil, err
	}
	mc := &memconn{Conn: c, gone: make(chan struct{})}
	mc.heard.Store(time.Now().UnixNano())
	n.mu.Lock()
	n.conns = append(n.conns, mc)
	n.mu.Unlock()
	return mc, nil
}

func (n *memnet) set(f func(n *memnet)) {
	n.mu.Lock()
	f(n)
	n.mu.Unlock()
}

// drop ends all connections.
func (n *memnet) drop() {
	n.mu.Lock()
	conns := n.conns
	n.conns = nil
	n.mu.Unlock()
	for _, c := range conns {
		c.Conn.Close()
	}
}

// open returns how many connections are open.
func (n *memnet) open() (open int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		if !c.closed.Load() {
			open++
		}
	}
	return open
}

// A memconn is a connection that may stall: then nothing gets through any more.
type memconn struct {
	net.Conn
	stalled atomic.Bool
	closed  atomic.Bool
	gone    chan struct{}
	heard   atomic.Int64
}

func (c *memconn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.stalled.Load() {
		<-c.gone
		return 0, net.ErrClosed
	}
	c.heard.Store(time.Now().UnixNano())
	return n, err
}

func (c *memconn) Write(p []byte) (int, error) {
	if c.stalled.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *memconn) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		close(c.gone)
	}
	return c.Conn.Close()
}

func (c *memconn) Silence() (time.Duration, bool) {
	return time.Duration(time.Now().UnixNano() - c.heard.Load()), !c.closed.Load()
}

// pooled makes a pool on the network that is closed when the test is over.
func (n *memnet) pooled(t testing.TB, c Config, opts ...grpc.DialOption) (*ClientConn, testgrpc.TestServiceClient) {
	t.Helper()
	if c.Credentials == nil {
		c.Credentials = insecure.NewCredentials()
	}
	p, err := newClient("passthrough:///server", c, n.dial, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p, testgrpc.NewTestServiceClient(p)
}

// invoke makes one call.
func invoke(ctx context.Context, client testgrpc.TestServiceClient, opts ...grpc.CallOption) error {
	_, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{}, opts...)
	return err
}
