package grpcpool

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/metrics"
)

// Each way for a stream to end is counted once: not never, which would keep its
// channel for good, and not twice, which would free a stream that is not free.
func TestStreamEndsOnce(t *testing.T) {
	refused := status.Error(codes.PermissionDenied, "no")
	bidi := func(ctx context.Context, client testgrpc.TestServiceClient, opts ...grpc.CallOption) testgrpc.TestService_FullDuplexCallClient {
		s, err := client.FullDuplexCall(ctx, opts...)
		if err != nil {
			t.Error(err)
			return nil
		}
		if err := s.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
			t.Error(err)
		}
		if _, err := s.Recv(); err != nil {
			t.Error(err)
		}
		return s
	}
	for _, tc := range []struct {
		name        string
		forgotten   bool // it ends with its context only
		server      func(grpc.ServerStream) error
		interceptor grpc.StreamClientInterceptor
		use         func(t *testing.T, ctx context.Context, client testgrpc.TestServiceClient) // ctx is canceled after it
	}{
		{name: "EOF", use: func(t *testing.T, ctx context.Context, client testgrpc.TestServiceClient) {
			s := bidi(ctx, client)
			s.CloseSend()
			for range 3 {
				if _, err := s.Recv(); err != io.EOF {
					t.Errorf("%v, want EOF", err)
				}
			}
		}},
		{name: "cancelled", use: func(t *testing.T, ctx context.Context, client testgrpc.TestServiceClient) {
			ctx, cancel := context.WithCancel(ctx)
			s := bidi(ctx, client)
			cancel()
			for range 3 {
				if _, err := s.Recv(); status.Code(err) != codes.Canceled {
					t.Error(err)
				}
			}
		}},
		{name: "cancelled and forgotten", forgotten: true, use: func(t *testing.T, ctx context.Context, client testgrpc.TestServiceClient) {
			bidi(ctx, client)
		}},
		{name: "deadline", use: func(t *testing.T, ctx context.Context, client testgrpc.TestServiceClient) {
			ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			s, err := client.FullDuplexCall(ctx)
			for err == nil {
				_, err = s.Recv()
			}
			if status.Code(err) != codes.DeadlineExceeded {
				t.Error(err)
			}
		}},
		{name: "deadline before it begins", use: func(t *testing.T, ctx context.Context, client testgrpc.TestServiceClient) {
			ctx, cancel := context.WithTimeout(ctx, -1)
			defer cancel()
			if _, err := client.FullDuplexCall(ctx); status.Code(err) != codes.DeadlineExceeded {
				t.Error(err)
			}
		}},
		{name: "error status", server: func(grpc.ServerStream) error { return refused },
			use: func(t *testing.T, ctx context.Context, client testgrpc.TestServiceClient) {
				s, err := client.FullDuplexCall(ctx)
				if err != nil {
					t.Fatal(err)
				}
				for range 3 {
					if _, err := s.Recv(); status.Code(err) != codes.PermissionDenied {
						t.Error(err)
					}
				}
			}},
		{name: "error status seen by Send only", forgotten: true, server: func(grpc.ServerStream) error { return refused },
			use: func(t *testing.T, ctx context.Context, client testgrpc.TestServiceClient) {
				s, err := client.FullDuplexCall(ctx)
				if err != nil {
					t.Fatal(err)
				}
				netlab.Eventually(t, 10*time.Second, "Send fails", func() bool {
					return s.Send(&testgrpc.StreamingOutputCallRequest{}) != nil
				})
			}},
		{name: "too large to send", use: func(t *testing.T, ctx context.Context, client testgrpc.TestServiceClient) {
			s := bidi(ctx, client, grpc.MaxCallSendMsgSize(10))
			err := s.Send(&testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: make([]byte, 100)}})
			if status.Code(err) != codes.ResourceExhausted {
				t.Error(err)
			}
		}},
		{name: "one response", use: func(t *testing.T, ctx context.Context, client testgrpc.TestServiceClient) {
			s, err := client.StreamingInputCall(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.CloseAndRecv(); err != nil {
				t.Error(err)
			}
		}},
		{name: "OnFinish of the user's own", use: func(t *testing.T, ctx context.Context, client testgrpc.TestServiceClient) {
			var finished atomic.Int32
			s := bidi(ctx, client, grpc.OnFinish(func(error) { finished.Add(1) }))
			s.CloseSend()
			if _, err := s.Recv(); err != io.EOF || finished.Load() != 1 {
				t.Errorf("%v, and finished %d times", err, finished.Load())
			}
		}},
		{name: "interceptor that refuses",
			interceptor: func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, grpc.Streamer, ...grpc.CallOption) (grpc.ClientStream, error) {
				return nil, refused
			},
			use: func(t *testing.T, ctx context.Context, client testgrpc.TestServiceClient) {
				if _, err := client.FullDuplexCall(ctx); err != refused {
					t.Error(err)
				}
			}},
		{name: "interceptor that answers by itself", interceptor: answers,
			use: func(t *testing.T, ctx context.Context, client testgrpc.TestServiceClient) {
				s, err := client.FullDuplexCall(ctx)
				if err != nil {
					t.Fatal(err)
				}
				for range 3 {
					if _, err := s.Recv(); err != io.EOF {
						t.Error(err)
					}
				}
			}},
		{name: "interceptor that answers by itself, forgotten", forgotten: true, interceptor: answers,
			use: func(t *testing.T, ctx context.Context, client testgrpc.TestServiceClient) {
				if _, err := client.FullDuplexCall(ctx); err != nil {
					t.Fatal(err)
				}
			}},
		{name: "interceptor that wraps",
			interceptor: func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
				s, err := next(ctx, desc, cc, method, opts...)
				return &wrapped{s}, err
			},
			use: func(t *testing.T, ctx context.Context, client testgrpc.TestServiceClient) {
				s := bidi(ctx, client)
				s.CloseSend()
				if _, err := s.Recv(); err != io.EOF {
					t.Error(err)
				}
			}},
		{name: "interceptor that panics",
			interceptor: func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, grpc.Streamer, ...grpc.CallOption) (grpc.ClientStream, error) {
				panic("interceptor")
			},
			use: func(t *testing.T, ctx context.Context, client testgrpc.TestServiceClient) {
				defer func() {
					if r := recover(); r != "interceptor" {
						t.Error(r)
					}
				}()
				client.FullDuplexCall(ctx)
			}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := &echo{stream: tc.server}
			var opts []grpc.DialOption
			if tc.interceptor != nil {
				opts = append(opts, grpc.WithStreamInterceptor(tc.interceptor))
			}
			p, client := pooled(t, e.start(t), Config{}, opts...)
			c := (*p.set.Load())[0]
			for range 3 {
				ctx, cancel := context.WithCancel(t.Context())
				tc.use(t, ctx, client)
				if tc.forgotten {
					if n := c.calls.Load(); n != 1 {
						t.Errorf("%d calls are counted before its context ends", n)
					}
					cancel()
				}
				netlab.Eventually(t, 10*time.Second, "the call is counted as ended", func() bool { return c.calls.Load() <= 0 })
				cancel()
			}
			// A second end would come with what the first has woken.
			netlab.Eventually(t, 10*time.Second, "the server has nothing to do", func() bool { return e.now.Load() == 0 })
			if n := c.calls.Load(); n != 0 {
				t.Errorf("%d calls are counted after the last has ended", n)
			}
		})
	}
}

// answers is an interceptor whose stream is not of grpc-go.
func answers(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ grpc.Streamer, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return &empty{ctx: ctx}, nil
}

type empty struct {
	grpc.ClientStream
	ctx context.Context
}

func (e *empty) RecvMsg(any) error            { return io.EOF }
func (e *empty) SendMsg(any) error            { return nil }
func (e *empty) CloseSend() error             { return nil }
func (e *empty) Context() context.Context     { return e.ctx }
func (e *empty) Header() (metadata.MD, error) { return nil, nil }
func (e *empty) Trailer() metadata.MD         { return nil }

type wrapped struct{ grpc.ClientStream }

// The server goes away under streams.
func TestStreamEndsWithItsServer(t *testing.T) {
	e := &echo{}
	l := listen(t, "tcp", "127.0.0.1:0")
	srv := e.on(t, l)
	p, client := pooled(t, l.Addr().String(), Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var streams []testgrpc.TestService_FullDuplexCallClient
	for range 5 {
		s, err := client.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	netlab.Eventually(t, 10*time.Second, "the server has them", func() bool { return e.now.Load() == 5 })
	srv.Stop()
	for _, s := range streams {
		if _, err := s.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("%v, want Unavailable", err)
		}
	}
	quiet(t, p)
}

// The connections are in the pool's accounts: busy while there are calls, and with
// the reason for which they left.
func TestPoolAccounts(t *testing.T) {
	e := &echo{}
	p, client := pooled(t, e.start(t, grpc.MaxConcurrentStreams(2)), Config{Cooldown: 50 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 3 {
		s, err := client.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	netlab.Eventually(t, 10*time.Second, "two connections are busy", func() bool {
		s := p.Stats()
		return s.Busy == 2 && s.Resting == 0
	})
	cancel()
	netlab.Eventually(t, 10*time.Second, "one has left, the other rests", func() bool {
		s := p.Stats()
		return s.Busy == 0 && s.Resting == 1 && s.Leaving == 0
	})
	if err := p.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	s := p.Stats()
	if err := s.Balance(); err != nil {
		t.Error(err)
	}
	if s.Requests != 3 || s.Leases != 3 || s.Reused != 1 || s.Born != 2 ||
		s.Reasons[metrics.Excess] != 1 || s.Reasons[metrics.Shutdown] != 1 || len(s.Hosts) != 1 {
		t.Error(s)
	}
}

// Calls of all kinds, given up at any moment, while channels come, wait and go:
// in the end none is counted, none waits, and every channel has its streams.
func TestStress(t *testing.T) {
	check := netlab.Leaks(t)
	t.Run("calls", stress)
	check()
}

func stress(t *testing.T) {
	e := &echo{unary: func(ctx context.Context) error { return sleep(ctx, rand.N(4*time.Millisecond)) }}
	address := e.start(t, grpc.MaxConcurrentStreams(4))
	p, client := pooled(t, address, Config{Cooldown: 40 * time.Millisecond, MaxAge: 100 * time.Millisecond, MaxConns: 5})
	var wg sync.WaitGroup
	var done, other atomic.Int64
	for range 24 {
		wg.Go(func() {
			for range 150 {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				brief := rand.IntN(3) == 0
				if brief {
					ctx, cancel = context.WithTimeout(ctx, rand.N(6*time.Millisecond))
				}
				err := oneOf(ctx, client)
				cancel()
				switch {
				case err == nil:
					done.Add(1)
				case !brief:
					t.Errorf("a call failed that had time: %v", err)
				default:
					other.Add(1)
				}
			}
		})
	}
	wg.Wait()
	quiet(t, p)
	t.Logf("%d calls done, %d given up, %d channels; at most %d at a time", done.Load(), other.Load(), channels(p), e.most.Load())
	if err := p.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	for _, s := range []int64{p.waiting.Load(), p.queue.len} {
		if s != 0 {
			t.Errorf("%d calls wait", s)
		}
	}
	if s := p.Stats(); s.Requests != 24*150 || s.Leases > s.Requests {
		t.Errorf("%d requests and %d leases", s.Requests, s.Leases)
	}
}

// oneOf makes a call of any kind.
func oneOf(ctx context.Context, client testgrpc.TestServiceClient) error {
	if rand.IntN(2) == 0 {
		_, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{})
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // now and then what ends it
	s, err := client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	if err := s.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil && err != io.EOF {
		return err
	}
	if _, err := s.Recv(); err != nil || rand.IntN(2) == 0 {
		return err
	}
	s.CloseSend()
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
