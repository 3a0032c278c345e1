package grpcinterop

import (
	"context"
	"net"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	orcapb "github.com/cncf/xds/go/xds/data/orca/v3"
	orcagrpc "github.com/cncf/xds/go/xds/service/orca/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/orca"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// A server is interop/server, in the process of the test.
type server struct {
	addr  netip.AddrPort
	also  netip.AddrPort // is its address too
	roots []byte         // DER of its certificate; nil: plaintext
}

// start serves until the test is over, at addresses of its own. A broken server
// answers every call with the same error.
func start(t *testing.T, secure, broken bool, services ...func(grpc.ServiceRegistrar)) *server {
	t.Helper()
	opts := []grpc.ServerOption{orca.CallMetricsServerOption(nil)}
	s := &server{}
	if secure {
		// net/http has a certificate for tests, for 127.0.0.1.
		certified := httptest.NewTLSServer(nil)
		certified.Close()
		s.roots = certified.Certificate().Raw
		opts = append(opts, grpc.Creds(credentials.NewServerTLSFromCert(&certified.TLS.Certificates[0])))
	}
	if broken {
		opts = append(opts,
			grpc.ChainUnaryInterceptor(func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
				return nil, errBroken
			}),
			grpc.ChainStreamInterceptor(func(any, grpc.ServerStream, *grpc.StreamServerInfo, grpc.StreamHandler) error {
				return errBroken
			}),
			grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return errBroken }))
	}
	srv := grpc.NewServer(opts...)
	recorder := orca.NewServerMetricsRecorder()
	orcagrpc.RegisterOpenRcaServiceServer(srv, reports{recorder: recorder})
	service := interop.NewTestServer(interop.NewTestServerOptions{MetricsRecorder: recorder})
	testgrpc.RegisterTestServiceServer(srv, named{service})
	for _, register := range services {
		register(srv)
	}
	for _, addr := range []*netip.AddrPort{&s.addr, &s.also} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		*addr = l.Addr().(*net.TCPAddr).AddrPort()
		go srv.Serve(l)
	}
	t.Cleanup(srv.Stop)
	return s
}

var errBroken = status.Error(codes.Internal, "broken")

// named is the service of the interop package that also says who it is, by the
// address that was called, when it is asked.
type named struct{ testgrpc.TestServiceServer }

func (s named) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	out, err := s.TestServiceServer.UnaryCall(ctx, in)
	if p, ok := peer.FromContext(ctx); ok && err == nil && in.FillServerId {
		out.ServerId = p.LocalAddr.String()
	}
	return out, err
}

// reports stands in for the service of the orca package, which sends a report
// every 30 seconds at most: too seldom for the case.
type reports struct {
	orcagrpc.UnimplementedOpenRcaServiceServer
	recorder orca.ServerMetricsRecorder
}

func (r reports) StreamCoreMetrics(req *orcagrpc.OrcaLoadReportRequest, stream grpc.ServerStreamingServer[orcapb.OrcaLoadReport]) error {
	tick := time.NewTicker(req.ReportInterval.AsDuration())
	defer tick.Stop()
	for {
		m := r.recorder.ServerMetrics()
		// What is not known is negative there, and left out here.
		report := &orcapb.OrcaLoadReport{
			CpuUtilization: max(0, m.CPUUtilization),
			MemUtilization: max(0, m.MemUtilization),
			Utilization:    m.Utilization,
		}
		if err := stream.Send(report); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-stream.Context().Done():
			return nil
		}
	}
}
