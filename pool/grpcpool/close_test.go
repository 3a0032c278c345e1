package grpcpool

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/internal/netlab"
)

// refuses fails the test unless new calls are refused as by a closed channel.
func refuses(t *testing.T, client testgrpc.TestServiceClient) {
	t.Helper()
	if err := invoke(t.Context(), client); !errors.Is(err, grpc.ErrClientConnClosing) || status.Code(err) != codes.Canceled {
		t.Errorf("a call that is late: %v", err)
	}
	if _, err := client.FullDuplexCall(t.Context()); !errors.Is(err, grpc.ErrClientConnClosing) {
		t.Errorf("a stream that is late: %v", err)
	}
}

func TestShutdownLosesNoCall(t *testing.T) {
	check := netlab.Leaks(t)
	t.Run("calls", func(t *testing.T) {
		proceed := make(chan struct{})
		e := &echo{unary: func(context.Context) error { <-proceed; return nil }}
		d := new(dialer.Dialer)
		p, client := pooled(t, e.start(t, grpc.MaxConcurrentStreams(10)), Config{Dialer: d, MaxConns: 3})
		s, err := client.FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 40 { // of which eleven wait for a stream
			wg.Go(func() {
				if err := invoke(t.Context(), client); err != nil {
					t.Errorf("a call that was under way: %v", err)
				}
			})
		}
		netlab.Eventually(t, 10*time.Second, "all channels are full", func() bool { return e.now.Load() == 30 })
		netlab.Eventually(t, 10*time.Second, "the others wait", func() bool { return p.waiting.Load() == 11 })
		shut := make(chan error, 1)
		go func() { shut <- p.Shutdown(t.Context()) }()
		netlab.Eventually(t, 10*time.Second, "new calls are refused", func() bool { return len(*p.open.Load()) == 0 })
		refuses(t, client)
		close(proceed)
		wg.Wait()
		if err := s.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
			t.Error(err)
		}
		if _, err := s.Recv(); err != nil {
			t.Error(err)
		}
		select {
		case err := <-shut:
			t.Errorf("Shutdown is over (%v), and a stream is not", err)
		default:
		}
		s.CloseSend()
		if _, err := s.Recv(); err != io.EOF {
			t.Error(err)
		}
		if err := <-shut; err != nil {
			t.Error(err)
		}
		if s := p.Stats(); s.Leaving != 0 || s.Busy != 0 || s.Resting != 0 || s.Born == 0 || s.Balance() != nil {
			t.Errorf("%+v", s)
		}
		if err := p.Close(); err != grpc.ErrClientConnClosing {
			t.Errorf("Close after Shutdown: %v", err)
		}
		if err := p.Shutdown(t.Context()); err != nil {
			t.Errorf("a second Shutdown: %v", err)
		}
	})
	check()
}

func TestShutdownCutsWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemnet(t, &echo{}, grpc.MaxConcurrentStreams(10))
		p, client := n.pooled(t, Config{})
		var failed atomic.Int64
		var wg sync.WaitGroup
		for range 15 {
			wg.Go(func() {
				s, err := client.FullDuplexCall(t.Context())
				if err == nil {
					_, err = s.Recv()
				}
				if status.Code(err) == codes.Canceled {
					failed.Add(1)
				} else {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		why := errors.New("time is over")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
		defer cancel()
		err := p.Shutdown(ctx)
		se, ok := errors.AsType[*ShutdownError](err)
		if !ok || se.Calls != 15 || se.Channels != 2 || !errors.Is(err, why) {
			t.Errorf("%#v", err)
		}
		wg.Wait()
		if failed.Load() != 15 || n.open() != 0 {
			t.Errorf("%d calls were cut, %d connections are left", failed.Load(), n.open())
		}
		refuses(t, client)
	})
}

// Calls that wait for a channel are under way, too.
func TestShutdownLosesNoWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{unary: func(ctx context.Context) error { return sleep(ctx, time.Second) }}
		n := newMemnet(t, e, grpc.MaxConcurrentStreams(1))
		n.slow = 3 * time.Second
		p, client := n.pooled(t, Config{})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := invoke(t.Context(), client); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if w := p.waiting.Load(); w != 19 {
			t.Errorf("%d calls wait, want 19", w)
		}
		if err := p.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if n.open() != 0 {
			t.Errorf("%d connections are left", n.open())
		}
	})
}

// Nor is Shutdown kept waiting by what nobody waits for any more: a channel that
// was begun for calls that have found another, or have given up.
func TestShutdownEndsWithItsCalls(t *testing.T) {
	for name, limit := range map[string]time.Duration{"served": time.Hour, "given up": 500 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &echo{unary: func(ctx context.Context) error { return sleep(ctx, time.Second) }}
				n := newMemnet(t, e, grpc.MaxConcurrentStreams(1))
				p, client := n.pooled(t, Config{MaxConns: 2})
				if err := invoke(t.Context(), client); err != nil {
					t.Fatal(err)
				}
				n.set(func(n *memnet) { n.slow = time.Hour }) // the second channel does not come
				var wg sync.WaitGroup
				wg.Go(func() { invoke(t.Context(), client) })
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				wg.Go(func() { invoke(ctx, client) })
				synctest.Wait()
				if w := p.waiting.Load(); w != 1 {
					t.Fatalf("%d calls wait, want 1", w)
				}
				var last time.Time
				go func() { wg.Wait(); last = time.Now() }()
				if err := p.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				if after := time.Since(last); after != 0 {
					t.Errorf("Shutdown is over %v after the last call", after)
				}
			})
		})
	}
}

// Close does not wait for calls, nor for a Shutdown that does.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemnet(t, &echo{})
		p, client := n.pooled(t, Config{})
		release := hold(t, client, 1)
		shut := make(chan error, 1)
		go func() { shut <- p.Shutdown(t.Context()) }()
		synctest.Wait()
		var first, later atomic.Int64
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				switch err := p.Close(); err {
				case nil:
					first.Add(1)
				case grpc.ErrClientConnClosing:
					later.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if first.Load() != 1 || later.Load() != 9 {
			t.Errorf("%d closed it, %d were late", first.Load(), later.Load())
		}
		err := <-shut
		if se, ok := errors.AsType[*ShutdownError](err); !ok || se.Calls != 1 || !errors.Is(err, grpc.ErrClientConnClosing) {
			t.Errorf("Shutdown: %v", err)
		}
		release()
		refuses(t, client)
		if n.open() != 0 {
			t.Errorf("%d connections are left", n.open())
		}
	})
}

// Calls that wait for a channel end with the pool, or with their context.
func TestWaitersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemnet(t, &echo{})
		n.slow = time.Hour
		p, client := n.pooled(t, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		errs := make(chan error, 20)
		for range 10 {
			go func() { errs <- invoke(ctx, client) }()
			go func() { errs <- invoke(t.Context(), client) }()
		}
		synctest.Wait()
		if w := p.waiting.Load(); w != 19 {
			t.Errorf("%d calls wait for the first connection, want 19", w)
		}
		cancel()
		for range 10 {
			if err := <-errs; status.Code(err) != codes.Canceled || errors.Is(err, grpc.ErrClientConnClosing) {
				t.Errorf("canceled: %v", err)
			}
		}
		p.Close()
		for range 10 {
			if err := <-errs; !errors.Is(err, grpc.ErrClientConnClosing) {
				t.Errorf("closed: %v", err)
			}
		}
		if p.waiting.Load() != 0 || p.queue.head != nil || p.queue.len != 0 {
			t.Error("somebody waits still")
		}
	})
}

// Close and Shutdown meet calls at any moment: each call is answered, or is told
// that it is too late.
func TestCloseUnderLoad(t *testing.T) {
	check := netlab.Leaks(t)
	e := &echo{}
	t.Run("pools", func(t *testing.T) {
		address := e.start(t, grpc.MaxConcurrentStreams(2))
		for i := range 40 {
			p, client := pooled(t, address, Config{MaxConns: 3})
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for {
						err := invoke(t.Context(), client)
						if errors.Is(err, grpc.ErrClientConnClosing) || err != nil && i%2 == 0 && status.Code(err) == codes.Canceled {
							return
						}
						if err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			netlab.Eventually(t, 10*time.Second, "calls are made", func() bool { return p.Stats().Leases > uint64(i) })
			if i%2 == 0 {
				p.Close()
			} else if err := p.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			wg.Wait()
		}
	})
	check()
}

func TestConn(t *testing.T) {
	e := &echo{}
	p, _ := pooled(t, e.start(t), Config{})
	cc := p.Conn()
	if cc != p.Conn() {
		t.Error("another Conn")
	}
	client := testgrpc.NewTestServiceClient(cc)
	if err := invoke(t.Context(), client); err != nil {
		t.Error(err)
	}
	if err := p.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	refuses(t, client)
	late, _ := pooled(t, e.start(t), Config{})
	late.Close()
	refuses(t, testgrpc.NewTestServiceClient(late.Conn()))
}
