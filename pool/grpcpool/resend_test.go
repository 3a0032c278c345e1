package grpcpool

import (
	"context"
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
)

// A resent stream is one of an interceptor that sends a call again if it fails,
// with the options of the first attempt.
type resent struct {
	grpc.ClientStream
	again func() (grpc.ClientStream, error) // or nil
}

func (r *resent) RecvMsg(m any) error {
	err := r.ClientStream.RecvMsg(m)
	if status.Code(err) != codes.Unavailable || r.again == nil {
		return err
	}
	s, err := r.again()
	if err != nil {
		return err
	}
	r.ClientStream, r.again = s, nil
	return s.RecvMsg(m)
}

// A call that an interceptor sends again is under way until it ends for its user.
func TestResentStreamIsUnderWay(t *testing.T) {
	for name, interceptor := range map[string]grpc.StreamClientInterceptor{
		"when it fails": func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			s, err := next(ctx, desc, cc, method, opts...)
			return &resent{s, func() (grpc.ClientStream, error) { return next(ctx, desc, cc, method, opts...) }}, err
		},
		"before it is there": func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			s, err := next(ctx, desc, cc, method, opts...)
			if err != nil {
				return nil, err
			}
			if err := s.RecvMsg(new(testgrpc.StreamingOutputCallResponse)); status.Code(err) != codes.Unavailable {
				return nil, err
			}
			return next(ctx, desc, cc, method, opts...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var attempts atomic.Int64
				e := &echo{stream: func(s grpc.ServerStream) error {
					if attempts.Add(1) == 1 {
						return status.Error(codes.Unavailable, "again")
					}
					return sleep(s.Context(), time.Second)
				}}
				p, client := newMemnet(t, e).pooled(t, Config{}, grpc.WithStreamInterceptor(interceptor))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s, err := client.FullDuplexCall(ctx)
				if err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				wg.Go(func() {
					if _, err := s.Recv(); err != io.EOF {
						t.Errorf("a call that was under way: %v", err)
					}
				})
				synctest.Wait()
				c := (*p.set.Load())[0]
				if n := c.calls.Load(); n != 1 {
					t.Errorf("%d calls are counted, want 1", n)
				}
				if err := p.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				wg.Wait()
			})
		})
	}
}
