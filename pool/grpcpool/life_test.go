package grpcpool

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/lastack/lastack/internal/netlab"
)

func TestConfigErrors(t *testing.T) {
	for _, tc := range []struct {
		field string
		c     Config
	}{
		{"MinConns", Config{MinConns: -1}},
		{"MaxConns", Config{MaxConns: -1}},
		{"MaxConns", Config{MinConns: 3, MaxConns: 2}},
		{"Streams", Config{Streams: -1}},
		{"MaxAge", Config{MaxAge: -1}},
		{"Cooldown", Config{Cooldown: -1}},
		{"Keepalive.Time", Config{Keepalive: keepalive.ClientParameters{Time: -1}}},
		{"Keepalive.Timeout", Config{Keepalive: keepalive.ClientParameters{Timeout: -1}}},
	} {
		_, err := NewClient("localhost:1", tc.c, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if ce, ok := errors.AsType[*ConfigError](err); !ok || ce.Field != tc.field {
			t.Errorf("%+v: %v, want an error for %s", tc.c, err, tc.field)
		}
	}
	check := netlab.Leaks(t)
	if p, err := NewClient("localhost:1", Config{}); err == nil {
		p.Close()
		t.Error("no error without credentials")
	}
	if p, err := NewClient("localhost:1", Config{}, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Errorf("credentials in the options: %v", err)
	} else {
		p.Close()
	}
	check()
}

// While nothing can connect calls fare as with grpc-go, and when the server is
// back they go on; what dials there are meanwhile does not grow with the calls.
func TestTargetDownAndUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{}
		n := newMemnet(t, e, grpc.MaxConcurrentStreams(5))
		n.down = true
		p, client := n.pooled(t, Config{MinConns: 2, MaxConns: 8})
		var wg sync.WaitGroup
		var waited atomic.Int64
		started := time.Now()
		for range 50 { // that wait for ready
			wg.Go(func() {
				if err := invoke(t.Context(), client, grpc.WaitForReady(true)); err != nil {
					t.Error(err)
				}
				waited.Add(1)
			})
		}
		time.Sleep(time.Second)
		for range 50 { // that fail fast
			wg.Go(func() {
				err := invoke(t.Context(), client)
				if status.Code(err) != codes.Unavailable {
					t.Error(err)
				}
				if time.Since(started) > 2*time.Second {
					t.Errorf("it fails after %v", time.Since(started))
				}
			})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if waited.Load() != 0 || channels(p) != 1 {
			t.Errorf("%d have not waited, %d channels", waited.Load(), channels(p))
		}
		if d := n.dials.Load(); d > 50 {
			t.Errorf("%d dials in a minute", d)
		}
		n.set(func(n *memnet) { n.down = false })
		time.Sleep(3 * time.Minute) // grpc-go backs off for as long as two, and the pool for half a minute
		wg.Wait()
		synctest.Wait()
		if channels(p) != 2 || n.open() != 2 {
			t.Errorf("%d channels, %d connections; want 2", channels(p), n.open())
		}
	})
}

// When a server is away for long under a pool of several channels, those that
// are not needed leave, and the others are all back as soon as one is.
func TestServerRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{}
		n := newMemnet(t, e, grpc.MaxConcurrentStreams(5))
		p, client := n.pooled(t, Config{MinConns: 3})
		hold(t, client, 20)()
		if got := channels(p); got != 4 && got != 5 { // a burst may have one more begun than it needs
			t.Fatalf("%d channels", got)
		}
		n.set(func(n *memnet) { n.down = true })
		n.drop()
		time.Sleep(2 * hopelessFor)
		synctest.Wait()
		if channels(p) != 3 {
			t.Errorf("%d channels while the server is away, want 3", channels(p))
		}
		time.Sleep(10 * time.Minute)
		if err := invoke(t.Context(), client); status.Code(err) != codes.Unavailable {
			t.Error(err)
		}
		before := n.dials.Load()
		n.set(func(n *memnet) { n.down = false })
		if err := invoke(t.Context(), client, grpc.WaitForReady(true)); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if channels(p) != 3 || n.open() != 3 {
			t.Errorf("%d channels, %d connections soon after; want 3", channels(p), n.open())
		}
		if d := n.dials.Load() - before; d > 6 {
			t.Errorf("%d dials to come back", d)
		}
	})
}

// A server that hangs up at once is not dialled again and again.
func TestServerHangsUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemnet(t, &echo{})
		n.pooled(t, Config{MinConns: 1})
		for range 600 {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			n.drop()
		}
		if d := n.dials.Load(); d > 12 {
			t.Errorf("%d dials in a minute", d)
		}
	})
}

// A server that closes connections at rest is left alone until there is a call.
func TestServerClosesAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemnet(t, &echo{}, grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 5 * time.Second}))
		_, client := n.pooled(t, Config{})
		for i := range int64(3) {
			if err := invoke(t.Context(), client); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if d := n.dials.Load(); d != i+1 {
				t.Fatalf("%d dials in an hour after call %d", d, i+1)
			}
		}
	})
}

// Calls on a channel that has lost its server go to the others.
func TestFailingChannelIsAvoided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemnet(t, &echo{})
		p, client := n.pooled(t, Config{MinConns: 3})
		synctest.Wait()
		n.set(func(n *memnet) { n.down = true })
		n.conns[0].Conn.Close()
		synctest.Wait()
		down := 0
		for _, c := range *p.set.Load() {
			if !c.is(connectivity.Ready) {
				down++
			}
		}
		if down != 1 {
			t.Fatalf("%d channels are down", down)
		}
		for range 100 {
			if err := invoke(t.Context(), client); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Nor do they go there when the others are full.
func TestFailingChannelHasNoStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{}
		n := newMemnet(t, e, grpc.MaxConcurrentStreams(2))
		_, client := n.pooled(t, Config{MinConns: 2, MaxConns: 3})
		synctest.Wait()
		n.set(func(n *memnet) { n.down = true })
		n.conns[0].Conn.Close()
		synctest.Wait()
		defer hold(t, client, 2)()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := invoke(ctx, client); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("%v, though a channel is connected", err)
		}
	})
}

func TestPrime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemnet(t, &echo{}, grpc.MaxConcurrentStreams(10))
		var primed, running atomic.Int64
		p, client := n.pooled(t, Config{Prime: func(ctx context.Context, cc *grpc.ClientConn) error {
			running.Add(1)
			defer running.Add(-1)
			if err := invoke(ctx, testgrpc.NewTestServiceClient(cc)); err != nil {
				return err
			}
			primed.Add(1)
			return sleep(ctx, time.Second)
		}})
		started := time.Now()
		if err := invoke(t.Context(), client); err != nil {
			t.Error(err)
		}
		if took := time.Since(started); took < time.Second || primed.Load() != 1 {
			t.Errorf("the first call took %v, primed: %d", took, primed.Load())
		}
		defer hold(t, client, 10)()
		if channels(p) != 1 || running.Load() != 1 {
			t.Errorf("%d channels, %d are primed", channels(p), running.Load())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if channels(p) != 2 || primed.Load() != 2 {
			t.Errorf("%d channels, %d are primed", channels(p), primed.Load())
		}
	})
}

// The only channel serves even if it cannot be primed; others do not.
func TestPrimeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{}
		n := newMemnet(t, e, grpc.MaxConcurrentStreams(10))
		var tries atomic.Int64
		p, client := n.pooled(t, Config{Prime: func(ctx context.Context, cc *grpc.ClientConn) error {
			tries.Add(1)
			<-ctx.Done() // as one that hangs
			return ctx.Err()
		}})
		defer hold(t, client, 12)()
		if e.now.Load() != 0 {
			t.Error("calls come before it is primed")
		}
		time.Sleep(primeLimit)
		synctest.Wait()
		if e.now.Load() != 10 || channels(p) != 1 {
			t.Errorf("%d calls, %d channels", e.now.Load(), channels(p))
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := tries.Load(); channels(p) != 1 || n < 5 || n > 30 {
			t.Errorf("%d channels, %d tries", channels(p), n)
		}
	})
}

// The limit that counts is the one that the server has last named.
func TestLimitChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{}
		n := newMemnet(t, e, grpc.MaxConcurrentStreams(16))
		p, client := n.pooled(t, Config{MaxConns: 3})
		defer hold(t, client, 10)()
		c := (*p.set.Load())[0]
		line := func() *line {
			c.mu.Lock()
			defer c.mu.Unlock()
			for l := range c.lines {
				return l
			}
			return nil
		}()
		line.settings(8) // fewer than there are calls
		synctest.Wait()
		if channels(p) != 2 {
			t.Errorf("%d channels after the limit was lowered", channels(p))
		}
		defer hold(t, client, 8)()
		if n := c.calls.Load(); n != 10 {
			t.Errorf("%d calls on a channel that is beyond its limit", n)
		}
		line.settings(math.MaxUint32)
		defer hold(t, client, 100)()
		if channels(p) != 2 || p.waiting.Load() != 0 {
			t.Errorf("%d channels, %d calls wait after the limit was raised", channels(p), p.waiting.Load())
		}
		// A server that wants no calls on one connection may want them on others.
		line.settings(0)
		synctest.Wait()
		if got := channels(p); got != 3 {
			t.Errorf("%d channels where one of two is not to have calls, and the other is full", got)
		}
	})
}

// The pool makes channels as long as it lives, of the options that it was given.
func TestOptionsAreTheCallersAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemnet(t, &echo{}, grpc.MaxConcurrentStreams(2))
		var given, later atomic.Int64
		counting := func(calls *atomic.Int64) grpc.DialOption {
			return grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
				calls.Add(1)
				return next(ctx, desc, cc, method, opts...)
			})
		}
		opts := []grpc.DialOption{counting(&given)}
		_, client := n.pooled(t, Config{}, opts...)
		opts[0] = counting(&later)
		defer hold(t, client, 10)()
		if given.Load() != 10 || later.Load() != 0 {
			t.Errorf("of 10 calls %d saw the option that was given, %d another", given.Load(), later.Load())
		}
	})
}

// A pool has no use for an idle timeout: it would connect again, and again.
func TestNoIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemnet(t, &echo{})
		_, client := n.pooled(t, Config{}, grpc.WithIdleTimeout(time.Minute))
		if err := invoke(t.Context(), client); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if d := n.dials.Load(); d != 1 {
			t.Errorf("%d dials for one call", d)
		}
	})
}

// A Keepalive may have one field only; and what is doubled is what grpc-go does.
func TestKeepaliveDefaults(t *testing.T) {
	for _, tc := range []struct{ give, want keepalive.ClientParameters }{
		{keepalive.ClientParameters{}, keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}},
		{keepalive.ClientParameters{Timeout: time.Second}, keepalive.ClientParameters{Time: keepaliveTime, Timeout: time.Second}},
		{keepalive.ClientParameters{Time: time.Second}, keepalive.ClientParameters{Time: 10 * time.Second, Timeout: keepaliveTimeout}},
		{
			keepalive.ClientParameters{PermitWithoutStream: true},
			keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout, PermitWithoutStream: true},
		},
	} {
		if got := (Config{Keepalive: tc.give}).withDefaults().Keepalive; got != tc.want {
			t.Errorf("%+v becomes %+v, want %+v", tc.give, got, tc.want)
		}
	}
}

// Whatever number of connections are told to be calm, they are told of one
// keepalive time.
func TestCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemnet(t, &echo{})
		p, _ := n.pooled(t, Config{MinConns: 3, Keepalive: keepalive.ClientParameters{Time: time.Minute}})
		synctest.Wait()
		old := *p.set.Load()
		for _, c := range old {
			c.open(nil).goAway(enhanceYourCalm, "too_many_pings")
			c.open(nil).goAway(0, "max_age")
		}
		if got := time.Duration(p.calm.Load()); got != 2*time.Minute {
			t.Errorf("the keepalive time of new channels is %v", got)
		}
		if c, err := p.newChannel(); err != nil || c.calm != int64(2*time.Minute) {
			t.Error(c, err)
		} else {
			c.open(nil).goAway(enhanceYourCalm, "too_many_pings")
			c.cc.Close()
		}
		if got := time.Duration(p.calm.Load()); got != 4*time.Minute {
			t.Errorf("the keepalive time of new channels is %v", got)
		}
	})
}

// A pool that is there before its server primes its first channel all the same.
func TestPrimeWhenTheServerComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemnet(t, &echo{})
		n.down = true
		var primed atomic.Int64
		_, client := n.pooled(t, Config{Prime: func(context.Context, *grpc.ClientConn) error {
			primed.Add(1)
			return nil
		}})
		time.Sleep(time.Second)
		n.set(func(n *memnet) { n.down = false })
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		if err := invoke(ctx, client, grpc.WaitForReady(true)); err != nil {
			t.Error(err)
		}
		synctest.Wait() // the call was grpc-go's to make wait, and did not wait for this
		if got := primed.Load(); got != 1 {
			t.Errorf("primed %d times, want once", got)
		}
	})
}
