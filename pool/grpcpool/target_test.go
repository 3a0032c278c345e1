package grpcpool

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"github.com/lastack/lastack/internal/netlab"
)

// Resolvers and balancers are grpc-go's, and know nothing of the pool.
func TestPoolTargets(t *testing.T) {
	e := &echo{}
	tcp := e.start(t)
	path := filepath.Join(t.TempDir(), "socket")
	e.on(t, listen(t, "unix", path))
	for _, target := range []string{tcp, "dns:///" + tcp, "passthrough:///" + tcp, "unix:" + path, "unix://" + path} {
		_, client := pooled(t, target, Config{})
		if err := invoke(t.Context(), client); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
	// With the credentials among the options.
	p, err := NewClient(tcp, Config{Streams: 3}, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := invoke(t.Context(), testgrpc.NewTestServiceClient(p)); err != nil {
		t.Error(err)
	}
	netlab.Eventually(t, 10*time.Second, "the channel has the assumed limit", func() bool {
		return (*p.set.Load())[0].limit.Load() == 3
	})
}

// What the server allows is heard above TLS.
func TestPoolTLS(t *testing.T) {
	server, client := tlsPair(t)
	e := &echo{}
	p, cc := pooled(t, e.start(t, grpc.Creds(server), grpc.MaxConcurrentStreams(7)), Config{Credentials: client})
	if err := invoke(t.Context(), cc); err != nil {
		t.Fatal(err)
	}
	if got := (*p.set.Load())[0].limit.Load(); got != 7 {
		t.Errorf("the limit is %d, want 7", got)
	}
}

// For a channel over TCP it is the kernel that knows for how long nothing has
// come. Here nothing gets back to the client through a relay.
func TestHungOverTCP(t *testing.T) {
	const after = 300 * time.Millisecond
	address := (&echo{}).start(t)
	l := listen(t, "tcp", "127.0.0.1:0")
	var stuck atomic.Bool
	ended := make(chan struct{}, 100) // relays that got stuck, or were closed
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			s, err := net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			wg.Go(func() { io.Copy(s, c); s.Close() })
			wg.Go(func() {
				buf := make([]byte, 4096)
				for {
					n, err := s.Read(buf)
					if err != nil || stuck.Load() {
						ended <- struct{}{}
						return
					}
					c.Write(buf[:n])
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })

	p, client := pooled(t, l.Addr().String(), Config{HungCalls: 2, HungAfter: after})
	if err := invoke(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	first := (*p.set.Load())[0]
	stuck.Store(true)
	answered := time.Now()
	brief := func() {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		invoke(ctx, client)
	}
	netlab.Eventually(t, 30*time.Second, "the connection is stuck", func() bool {
		brief()
		return len(ended) == 1
	})
	stuck.Store(false) // for the next
	netlab.Eventually(t, 30*time.Second, "the channel is replaced", func() bool {
		brief()
		return (*p.set.Load())[0] != first
	})
	if took := time.Since(answered); took < after/2 {
		t.Errorf("it was replaced after %v", took)
	}
	if err := invoke(t.Context(), client); err != nil {
		t.Error(err)
	}
}

// With round_robin a channel has a connection to each address, and as many
// streams as all of them; when the balancer drops an address it has fewer.
func TestRoundRobin(t *testing.T) {
	e := &echo{}
	a, b := e.start(t, grpc.MaxConcurrentStreams(10)), e.start(t, grpc.MaxConcurrentStreams(20))
	r := manual.NewBuilderWithScheme("several")
	r.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: a}, {Addr: b}}})
	p, client := pooled(t, "several:///", Config{}, grpc.WithResolvers(r),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin":{}}]}`))
	seen := func() int {
		var mu sync.Mutex
		var wg sync.WaitGroup
		addresses := map[string]bool{}
		for range 8 {
			wg.Go(func() {
				var from peer.Peer
				if err := invoke(t.Context(), client, grpc.Peer(&from)); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				addresses[from.Addr.String()] = true
				mu.Unlock()
			})
		}
		wg.Wait()
		return len(addresses)
	}
	limit := func() int64 { return (*p.set.Load())[0].limit.Load() }
	netlab.Eventually(t, 10*time.Second, "calls go to both", func() bool { return seen() == 2 })
	netlab.Eventually(t, 10*time.Second, "the limits add up", func() bool { return limit() == 30 })
	r.CC().UpdateState(resolver.State{Addresses: []resolver.Address{{Addr: b}}})
	netlab.Eventually(t, 10*time.Second, "the limit is that of the other", func() bool { return limit() == 20 })
	if channels(p) != 1 {
		t.Errorf("%d channels", channels(p))
	}
}
