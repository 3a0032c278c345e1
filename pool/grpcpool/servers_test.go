package grpcpool

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/lastack/lastack/internal/netlab"
)

// An echo is a test service whose calls do as the test says.
type echo struct {
	testgrpc.UnimplementedTestServiceServer

	unary  func(context.Context) error // or nil
	stream func(grpc.ServerStream) error
	calls  atomic.Int64 // that have reached it
	now    atomic.Int64 // that it is at
	most   atomic.Int64 // that it was at at a time
}

func (e *echo) enter() (leave func()) {
	e.calls.Add(1)
	n := e.now.Add(1)
	for m := e.most.Load(); n > m && !e.most.CompareAndSwap(m, n); {
		m = e.most.Load()
	}
	return func() { e.now.Add(-1) }
}

func (e *echo) UnaryCall(ctx context.Context, req *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	defer e.enter()()
	if e.unary != nil {
		if err := e.unary(ctx); err != nil {
			return nil, err
		}
	}
	return &testgrpc.SimpleResponse{Payload: req.GetPayload()}, nil
}

func (e *echo) FullDuplexCall(s testgrpc.TestService_FullDuplexCallServer) error {
	defer e.enter()()
	if e.stream != nil {
		return e.stream(s)
	}
	for {
		req, err := s.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Send(&testgrpc.StreamingOutputCallResponse{Payload: req.GetPayload()}); err != nil {
			return err
		}
	}
}

func (e *echo) StreamingInputCall(s testgrpc.TestService_StreamingInputCallServer) error {
	defer e.enter()()
	if e.stream != nil {
		return e.stream(s)
	}
	for {
		if _, err := s.Recv(); err == io.EOF {
			return s.SendAndClose(&testgrpc.StreamingInputCallResponse{})
		} else if err != nil {
			return err
		}
	}
}

// start serves e until the test is over, and returns its address.
func (e *echo) start(t testing.TB, opts ...grpc.ServerOption) string {
	t.Helper()
	l := listen(t, "tcp", "127.0.0.1:0")
	e.on(t, l, opts...)
	return l.Addr().String()
}

// on serves e on l until the test is over.
func (e *echo) on(t testing.TB, l net.Listener, opts ...grpc.ServerOption) *grpc.Server {
	t.Helper()
	srv := grpc.NewServer(opts...)
	testgrpc.RegisterTestServiceServer(srv, e)
	served := make(chan struct{})
	go func() { defer close(served); srv.Serve(l) }()
	t.Cleanup(func() { srv.Stop(); <-served })
	return srv
}

// pooled makes a pool that is closed when the test is over.
func pooled(t testing.TB, target string, c Config, opts ...grpc.DialOption) (*ClientConn, testgrpc.TestServiceClient) {
	t.Helper()
	if c.Credentials == nil {
		c.Credentials = insecure.NewCredentials()
	}
	p, err := NewClient(target, c, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p, testgrpc.NewTestServiceClient(p)
}

// channels returns how many channels serve.
func channels(p *ClientConn) int { return len(*p.set.Load()) }

// quiet fails the test unless no call is counted any more, soon.
func quiet(t testing.TB, p *ClientConn) {
	t.Helper()
	netlab.Eventually(t, 10*time.Second, "all calls are counted as ended", func() bool {
		if p.waiting.Load() != 0 {
			return false
		}
		for _, c := range *p.set.Load() {
			if c.calls.Load() != 0 {
				return false
			}
		}
		return true
	})
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
