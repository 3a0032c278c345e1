package grpcpool

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// soon is how long what has a clock of its own waits in these scenes.
const soon = 300 * time.Millisecond

// TestKernelClientEndings: the ways in which a channel ends its connections.
func TestKernelClientEndings(t *testing.T) {
	playAll(t, []scene{{
		name: "Close", pays: true,
		play: func(s *stage) { s.open(); s.close(); s.awaitEnd() },
	}, {
		name: "Close with streams", pays: true, play: closeWithStreams,
	}, {
		name: "idle timeout", pays: true,
		opts: []grpc.DialOption{grpc.WithIdleTimeout(soon)},
		play: func(s *stage) { s.open(); s.awaitEnd() },
	}, {
		name: "address removed", pays: true,
		play: func(s *stage) { s.removeAddress(func() func() { return func() {} }) },
	}, {
		name: "address removed with streams",
		play: func(s *stage) {
			s.removeAddress(func() func() {
				// Round robin gives every connection one stream.
				one, other := s.begin(false), s.begin(false)
				return func() { s.svc.release(); one(); other() }
			})
		},
	}})
}

func closeWithStreams(s *stage) {
	s.open()
	finish := s.begin(true)
	s.close()
	finish()
	s.awaitEnd()
}

// removeAddress gives each channel two connections, by two addresses of the
// server. Then the resolver takes back one of them; what busy has made go on
// ends after that.
func (s *stage) removeAddress(busy func() (finish func())) {
	addrs := []resolver.Address{
		{Addr: net.JoinHostPort("127.0.0.1", s.port())}, {Addr: net.JoinHostPort("127.0.0.2", s.port())},
	}
	var all []*manual.Resolver
	for range ringConns {
		r := manual.NewBuilderWithScheme("ring")
		r.InitialState(resolver.State{Addresses: addrs})
		all = append(all, r)
		s.ccs = append(s.ccs, s.channel("ring:///server", grpc.WithResolvers(r),
			grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`)))
	}
	s.call()
	s.awaitOpen(2 * ringConns)
	finish := busy()
	for _, r := range all {
		r.UpdateState(resolver.State{Addresses: addrs[:1]})
	}
	finish()
	s.awaitOpen(ringConns)
}

// TestKernelServerEndings: the ways in which a server ends connections.
func TestKernelServerEndings(t *testing.T) {
	params := func(p keepalive.ServerParameters) func(*stage) {
		return grpcServer(grpc.KeepaliveParams(p))
	}
	playAll(t, []scene{{
		name: "GracefulStop", pays: true,
		play: func(s *stage) { s.open(); s.grpc.GracefulStop(); s.awaitEnd() },
	}, {
		name: "GracefulStop with streams",
		play: func(s *stage) {
			s.open()
			finish := s.begin(false)
			var wg sync.WaitGroup
			wg.Go(s.grpc.GracefulStop)
			s.awaitNotReady(10 * time.Second) // the channels have been told
			s.svc.release()
			finish()
			wg.Wait()
			s.awaitEnd()
		},
	}, {
		name: "Stop",
		play: func(s *stage) { s.open(); s.grpc.Stop(); s.awaitEnd() },
	}, {
		name: "Stop with streams",
		play: func(s *stage) {
			s.open()
			finish := s.begin(true)
			s.grpc.Stop()
			finish()
			s.awaitEnd()
		},
	}, {
		name: "MaxConnectionAge", pays: true,
		server: params(keepalive.ServerParameters{MaxConnectionAge: 2 * soon}),
		play:   func(s *stage) { s.open(); s.awaitEnd() },
	}, {
		name: "MaxConnectionAge, streams end", pays: true,
		server: params(keepalive.ServerParameters{MaxConnectionAge: 2 * soon, MaxConnectionAgeGrace: time.Minute}),
		play: func(s *stage) {
			s.channels()
			finish := s.begin(false)
			s.awaitNotReady(10 * time.Second)
			s.svc.release()
			finish()
			s.awaitEnd()
		},
	}, {
		name:   "MaxConnectionAge, grace over",
		server: params(keepalive.ServerParameters{MaxConnectionAge: 2 * soon, MaxConnectionAgeGrace: soon}),
		play: func(s *stage) {
			s.channels()
			s.begin(true)()
			s.awaitEnd()
		},
	}, {
		name: "MaxConnectionIdle", pays: true,
		server: params(keepalive.ServerParameters{MaxConnectionIdle: soon}),
		play:   func(s *stage) { s.open(); s.awaitEnd() },
	}, {
		name: "too many pings", pays: true, play: (*stage).annoy,
	}})
}

// A tap is credentials that remember the connections on which they have agreed.
// The connections themselves stay as they are.
type tap struct {
	credentials.TransportCredentials
	mu    sync.Mutex
	conns []net.Conn
}

func (tp *tap) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, info, err := tp.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err == nil {
		tp.mu.Lock()
		tp.conns = append(tp.conns, c)
		tp.mu.Unlock()
	}
	return c, info, err
}

func (tp *tap) Clone() credentials.TransportCredentials { return tp }

// annoy sends PINGs beside the transport until the server has had enough:
// grpc-go's own pings come every ten seconds at most, which would take long.
func (s *stage) annoy() {
	tp := &tap{TransportCredentials: clientCredentials(s.proto)}
	s.opts = append(s.opts, grpc.WithTransportCredentials(tp))
	s.open()
	const ping = "\x00\x00\x08\x06\x00\x00\x00\x00\x00too many"
	for _, c := range tp.conns {
		for range 5 {
			c.Write([]byte(ping))
		}
	}
	s.awaitEnd()
}
