package grpcpool

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/sockdiag"
)

const (
	poolConns   = 20 // of a grown pool
	poolStreams = 4  // that the server allows on each

	// patience is far more than anything here takes.
	patience = 30 * time.Second
)

// A poolStage is a stage with a pool in place of channels. Without our dialing
// its connections are bare ones of the net package: what is seen then is the
// pool's own doing.
type poolStage struct {
	*stage
	pool   *ClientConn
	client testgrpc.TestServiceClient
	dials  atomic.Int64 // if not ours
}

// A poolScene is one way for a pool's connections to end.
type poolScene struct {
	name   string
	config Config
	server []grpc.ServerOption
	play   func(*poolStage)

	// cuts is whether calls are cut. Then what comes for them after the end may have
	// reset bare connections as well.
	cuts bool
}

// TestKernelPool: whatever ends the connections of a pool, the kernel has no
// TIME_WAIT of them here and nothing else either, and the accounts say so.
func TestKernelPool(t *testing.T) {
	for _, sc := range []poolScene{
		{name: "Close", play: func(s *poolStage) { s.grow()(false) }},
		{name: "Close with streams", play: (*poolStage).closeWithStreams, cuts: true},
		{name: "Shutdown", play: (*poolStage).shutdown},
		{name: "Cooldown", config: Config{Cooldown: soon}, play: (*poolStage).cool},
		{name: "MaxAge", config: Config{MinConns: poolConns, MaxAge: 2 * soon}, play: (*poolStage).age},
		{
			name: "MaxConnectionAge", config: Config{MinConns: poolConns}, play: (*poolStage).wither,
			server: []grpc.ServerOption{grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 2 * soon})},
		},
		{name: "GracefulStop", play: (*poolStage).stopGracefully},
	} {
		for _, proto := range protos {
			t.Run(strings.ReplaceAll(sc.name, " ", "_")+"/"+proto, func(t *testing.T) {
				t.Parallel() // some of them wait for a clock
				ring(t, func(lab *netlab.Lab) {
					bare := playPool(t, lab, sc, proto, false)
					ours := playPool(t, lab, sc, proto, true)
					t.Logf("%s: TIME_WAIT: %d; of the same pool over bare connections: %d", t.Name(), ours, bare)
					if proto == "h2c" && !sc.cuts && bare < poolConns/2 {
						t.Errorf("of bare connections only %d TIME_WAIT were seen: what would be seen of ours?", bare)
					}
				})
			})
		}
	}
}

// playPool plays the scene, closes the pool, and returns the TIME_WAIT sockets
// that it leaves here.
func playPool(t *testing.T, lab *netlab.Lab, sc poolScene, proto string, ours bool) (timeWaits int) {
	s := &poolStage{stage: newStage(t, lab, proto, ours)}
	grpcServer(append(sc.server, grpc.MaxConcurrentStreams(poolStreams))...)(s.stage)
	check := netlab.Leaks(t)
	sc.config.Credentials = clientCredentials(proto)
	sc.config.MaxConns = poolConns
	var dial dialFunc
	if !ours {
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			s.dials.Add(1)
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	p, err := newClient(s.target(), sc.config, dial, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s.pool, s.client = p, testgrpc.NewTestServiceClient(p)
	sc.play(s)
	p.Close()
	timeWaits = s.judgePool()
	check()
	return timeWaits
}

// grow begins as many streams as poolConns connections carry, and returns when
// all are under way. The function that it returns ends them, and reports errors
// unless they are allowed.
func (s *poolStage) grow() (finish func(allowErrors bool)) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	streams := make([]testgrpc.TestService_FullDuplexCallClient, poolConns*poolStreams)
	var wg sync.WaitGroup
	for i := range streams {
		wg.Go(func() {
			stream, err := s.client.FullDuplexCall(ctx)
			if err == nil {
				_, err = stream.Recv()
			}
			if err != nil {
				s.t.Errorf("ours %t: a stream does not begin: %v", s.ours, err)
				return
			}
			streams[i] = stream
		})
	}
	wg.Wait()
	if n := s.established(); n < poolConns {
		s.t.Errorf("ours %t: %d connections carry %d streams of %d each", s.ours, n, len(streams), poolStreams)
	}
	return func(allowErrors bool) {
		s.t.Helper()
		defer cancel()
		s.svc.release()
		for _, stream := range streams {
			if stream == nil {
				continue // reported
			}
			if _, err := stream.Recv(); !errors.Is(err, io.EOF) && !allowErrors {
				s.t.Errorf("ours %t: a stream ended with %v", s.ours, err)
			}
		}
	}
}

// established returns how many of the pool's connections are open.
func (s *poolStage) established() int {
	s.t.Helper()
	return s.lab.States(s.t, s.addr).Client.By[sockdiag.Established]
}

// load makes calls until the function that it returns is called. Their errors are
// reported, but for those with the codes allowed.
func (s *poolStage) load(allowed ...codes.Code) (stop func()) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*patience)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				// Not with ctx: the last call is to be answered as well.
				_, err := s.client.EmptyCall(s.t.Context(), &testgrpc.Empty{})
				if code := status.Code(err); code != codes.OK && !slices.Contains(allowed, code) {
					s.t.Errorf("ours %t: %v", s.ours, err)
					return
				}
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

// closeWithStreams closes the pool while all its connections are full.
func (s *poolStage) closeWithStreams() {
	finish := s.grow()
	if err := s.pool.Close(); err != nil {
		s.t.Error(err)
	}
	finish(true)
}

// shutdown shuts the pool down while all its connections are full.
func (s *poolStage) shutdown() {
	finish := s.grow()
	shut := make(chan error, 1)
	go func() { shut <- s.pool.Shutdown(s.t.Context()) }()
	netlab.Eventually(s.t, patience, "new calls are refused", func() bool { return len(*s.pool.open.Load()) == 0 })
	finish(false)
	if err := <-shut; err != nil {
		s.t.Error(err)
	}
}

// cool waits until the pool has let go what it does not need any more.
func (s *poolStage) cool() {
	s.grow()(false)
	netlab.Eventually(s.t, patience, "one channel is left", func() bool { return channels(s.pool) == 1 })
	s.awaitOpen(1)
}

// age has calls go on until each connection has been replaced.
func (s *poolStage) age() {
	netlab.Eventually(s.t, patience, "all channels serve", func() bool { return channels(s.pool) == poolConns })
	stop := s.load()
	first := map[*channel]bool{}
	for _, c := range *s.pool.set.Load() {
		first[c] = true
	}
	netlab.Eventually(s.t, patience, "all channels are replaced", func() bool {
		for _, c := range *s.pool.set.Load() {
			if first[c] {
				return false
			}
		}
		return true
	})
	stop()
}

// wither has calls go on while the server closes each connection, and the pool
// makes another.
func (s *poolStage) wither() {
	stop := s.load(codes.Unavailable)
	netlab.Eventually(s.t, patience, "all connections are made again", func() bool {
		return max(s.dials.Load(), int64(s.pool.Stats().Born)) >= 2*poolConns
	})
	stop()
}

// stopGracefully stops the server while all connections are full.
func (s *poolStage) stopGracefully() {
	finish := s.grow()
	var wg sync.WaitGroup
	wg.Go(s.grpc.GracefulStop)
	netlab.Eventually(s.t, patience, "the channels have been told", func() bool {
		return !slices.ContainsFunc(*s.pool.set.Load(), func(c *channel) bool { return c.is(connectivity.Ready) })
	})
	finish(false)
	wg.Wait()
	s.awaitEnd()
}

// judgePool waits until everything has ended, and returns the TIME_WAIT sockets of
// this side. Connections of ours must have left none, and nothing else on either
// side but what the server's kernel keeps for itself.
func (s *poolStage) judgePool() (timeWaits int) {
	s.t.Helper()
	if s.ours {
		ctx, cancel := context.WithTimeout(s.t.Context(), patience)
		defer cancel()
		if err := s.pool.Shutdown(ctx); err != nil { // waits for farewells
			s.t.Error(err)
		}
	}
	netlab.Eventually(s.t, patience, "the server has closed its side", func() bool {
		by := s.lab.States(s.t, s.addr).Server.By
		return by[sockdiag.Established]+by[sockdiag.CloseWait] == 0
	})
	s.lab.Settle(s.t, s.addr, patience)
	st := s.lab.States(s.t, s.addr)
	timeWaits = st.Client.TimeWaits() + st.Client.MiniFinWait2
	if !s.ours {
		return timeWaits
	}
	if len(st.Client.By) != 0 {
		s.t.Errorf("this side has sockets left: %v", st.Client)
	}
	a := s.pool.Stats()
	if err := a.Balance(); err != nil {
		s.t.Error(err)
	}
	if n := a.Resting + a.Busy + a.Leaving + a.Dialing; n != 0 {
		s.t.Errorf("%d connections are left in the accounts: %v", n, a)
	}
	if int(a.TimeWaits) != timeWaits {
		s.t.Errorf("our own count of TIME_WAITs is %d, the kernel's %d", a.TimeWaits, timeWaits)
	}
	if a.Born < poolConns {
		s.t.Errorf("only %d connections were made", a.Born)
	}
	s.t.Logf("%d born, endings %v, reasons %v", a.Born, a.Ended, a.Reasons)
	return timeWaits
}
