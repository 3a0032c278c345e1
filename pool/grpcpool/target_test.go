package grpcpool

import (
	"path/filepath"
	"sync"
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
