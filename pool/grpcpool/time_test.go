package grpcpool

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// hold makes n calls that are under way until it is told to let them go.
func hold(t *testing.T, client testgrpc.TestServiceClient, n int) (release func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			s, err := client.FullDuplexCall(ctx)
			if err == nil {
				s.Recv()
			} else if ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	synctest.Wait()
	return func() { cancel(); wg.Wait(); synctest.Wait() }
}

func TestGrowsWithTheServersLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{}
		n := newMemnet(t, e, grpc.MaxConcurrentStreams(16))
		p, client := n.pooled(t, Config{MaxConns: 4})
		if n.dials.Load() != 0 {
			t.Errorf("%d dials before the first call", n.dials.Load())
		}
		for _, step := range []struct{ calls, channels, served int }{
			{14, 1, 14}, // 2 of 16 free
			{1, 2, 15},
			{15, 2, 30}, // 2 of 32
			{1, 3, 31},
			{33, 4, 64}, // as many as there may be
			{10, 4, 64}, // these wait
		} {
			defer hold(t, client, step.calls)()
			if got := channels(p); got != step.channels || e.now.Load() != int64(step.served) {
				t.Fatalf("with %d more: %d channels, %d calls at the server; want %d, %d",
					step.calls, got, e.now.Load(), step.channels, step.served)
			}
		}
		if w := p.waiting.Load(); w != 10 {
			t.Errorf("%d calls wait for the first stream that gets free, want 10", w)
		}
	})
}

func TestColdBurstDialsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{}
		n := newMemnet(t, e, grpc.MaxConcurrentStreams(10))
		n.slow = time.Second
		p, client := n.pooled(t, Config{})
		started := time.Now()
		release := hold(t, client, 50)
		defer release()
		time.Sleep(4*time.Second + time.Millisecond)
		synctest.Wait()
		// One connects and says how much it takes, then the others do together.
		if now := e.now.Load(); now != 50 || n.dials.Load() != 6 {
			t.Errorf("after %v: %d calls at the server, %d dials; want 50, 6", time.Since(started), now, n.dials.Load())
		}
		if got := channels(p); got != 6 {
			t.Errorf("%d channels, want 6", got)
		}
	})
}

func TestUnlimitedServerNeedsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{}
		n := newMemnet(t, e)
		n.slow = time.Second
		p, client := n.pooled(t, Config{})
		release := hold(t, client, 300)
		defer release()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if e.now.Load() != 300 || channels(p) != 1 || n.dials.Load() != 1 {
			t.Errorf("%d calls at the server, %d channels, %d dials", e.now.Load(), channels(p), n.dials.Load())
		}
	})
}

func TestShrinksSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{}
		n := newMemnet(t, e, grpc.MaxConcurrentStreams(10))
		p, client := n.pooled(t, Config{MinConns: 2, Cooldown: 80 * time.Second})
		synctest.Wait()
		if got := n.open(); got != 2 || channels(p) != 2 {
			t.Fatalf("%d connections and %d channels before the first call, want 2", got, channels(p))
		}
		release := hold(t, client, 60)
		if got := channels(p); got != 7 {
			t.Fatalf("%d channels, want 7", got)
		}
		release()
		var seen []int
		var at []time.Duration
		released := time.Now()
		for time.Since(released) < 5*time.Minute {
			if got := channels(p); len(seen) == 0 || got != seen[len(seen)-1] {
				seen = append(seen, got)
				at = append(at, time.Since(released))
			}
			if n.open() != channels(p) {
				t.Fatalf("%d connections, %d channels", n.open(), channels(p))
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		t.Log(seen, at)
		if want := []int{7, 5, 3, 2}; !slices.Equal(seen, want) {
			t.Errorf("channels %v, want %v", seen, want)
		}
		if at[1] < 80*time.Second || at[1] > 91*time.Second {
			t.Errorf("the first left after %v", at[1])
		}
	})
}

// A channel that leaves has its calls end first, and comes back if it is needed.
func TestDrainedBeforeItIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{}
		n := newMemnet(t, e, grpc.MaxConcurrentStreams(10))
		p, client := n.pooled(t, Config{Cooldown: 8 * time.Second})
		release := hold(t, client, 30)
		set := *p.set.Load()
		if len(set) != 4 {
			t.Fatalf("%d channels, want 4", len(set))
		}
		release()
		// One call on each.
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var streams []grpc.ClientStream
		for _, c := range set {
			if !c.reserve() {
				t.Fatal("full")
			}
			s, err := newStream(ctx, c, time.Now(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, testgrpc.TestService_FullDuplexCall_FullMethodName, nil)
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if channels(p) != 1 || n.open() != 4 {
			t.Fatalf("%d channels, %d connections; want 1, 4", channels(p), n.open())
		}
		again := hold(t, client, 15)
		if channels(p) != 2 || n.dials.Load() != 4 {
			t.Errorf("%d channels, %d dials; want 2 after no more than 4", channels(p), n.dials.Load())
		}
		again()
		for _, s := range streams {
			if err := s.SendMsg(&testgrpc.StreamingOutputCallRequest{}); err != nil {
				t.Error(err)
			}
			if err := s.RecvMsg(new(testgrpc.StreamingOutputCallResponse)); err != nil {
				t.Error(err)
			}
		}
		cancel()
		time.Sleep(time.Minute)
		synctest.Wait()
		if channels(p) != 1 || n.open() != 1 {
			t.Errorf("%d channels, %d connections; want 1", channels(p), n.open())
		}
	})
}

func TestAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{unary: func(ctx context.Context) error { return sleep(ctx, 300*time.Millisecond) }}
		n := newMemnet(t, e, grpc.MaxConcurrentStreams(10))
		n.slow = time.Second
		p, client := n.pooled(t, Config{MaxAge: time.Minute})
		long, err := client.FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		first := (*p.set.Load())[0]
		born := time.Now()
		// Calls all the time.
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if err := invoke(t.Context(), client); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for (*p.set.Load())[0] == first {
			if time.Since(born) > 62*time.Second {
				t.Fatal("the first channel still serves")
			}
			time.Sleep(100 * time.Millisecond)
		}
		if lived := time.Since(born); lived < 48*time.Second {
			t.Errorf("the first channel served for %v", lived)
		}
		if n.open() != 2 {
			t.Errorf("%d connections while the old has a call", n.open())
		}
		if err := long.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
			t.Error(err)
		}
		if _, err := long.Recv(); err != nil {
			t.Errorf("the call on the old channel: %v", err)
		}
		long.CloseSend()
		long.Recv()
		wg.Wait()
		if d := n.dials.Load(); d < 6 || d > 7 {
			t.Errorf("%d dials in five minutes at an age of 48 to 60 s", d)
		}
		if n.open() > 2 {
			t.Errorf("%d connections are left", n.open())
		}
	})
}

func TestHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{}
		n := newMemnet(t, e)
		p, client := n.pooled(t, Config{HungCalls: 3, HungAfter: 10 * time.Second})
		if err := invoke(t.Context(), client); err != nil {
			t.Fatal(err)
		}
		first := (*p.set.Load())[0]
		n.conns[0].stalled.Store(true)
		stalled := time.Now()
		for (*p.set.Load())[0] == first {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := invoke(ctx, client); status.Code(err) != codes.DeadlineExceeded {
				t.Fatal(err)
			}
			cancel()
			synctest.Wait()
			if time.Since(stalled) > time.Minute {
				t.Fatal("the channel still serves")
			}
		}
		if after := time.Since(stalled); after < 10*time.Second || after > 12*time.Second {
			t.Errorf("replaced after %v", after)
		}
		if err := invoke(t.Context(), client); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n.dials.Load() != 2 || n.open() != 1 {
			t.Errorf("%d dials, %d connections", n.dials.Load(), n.open())
		}
	})
}

// A server that is slow is none that hangs.
func TestSlowIsNotHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{unary: func(ctx context.Context) error { return sleep(ctx, time.Hour) }}
		n := newMemnet(t, e)
		_, client := n.pooled(t, Config{HungCalls: 3, HungAfter: 10 * time.Second})
		s, err := client.FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 60 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			invoke(ctx, client)
			cancel()
			if err := s.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Recv(); err != nil {
				t.Fatal(err)
			}
		}
		if n.dials.Load() != 1 {
			t.Errorf("%d dials", n.dials.Load())
		}
	})
}

// Nor is one that nothing was asked for a while, after calls that took too long.
func TestRestIsNotHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{unary: func(ctx context.Context) error { return sleep(ctx, time.Hour) }}
		n := newMemnet(t, e)
		_, client := n.pooled(t, Config{HungCalls: 3, HungAfter: 10 * time.Second})
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			invoke(ctx, client)
			cancel()
		}
		time.Sleep(time.Hour)
		if n.dials.Load() != 1 {
			t.Errorf("%d dials", n.dials.Load())
		}
	})
}
