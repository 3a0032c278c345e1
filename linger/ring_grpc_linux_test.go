package linger_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

// A troupe is grpc-go's server in a host's place.
type troupe struct {
	testgrpc.UnimplementedTestServiceServer
	*host
}

// UnaryCall answers as the host's ServeHTTP does: everybody at once.
func (s *troupe) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	n := s.arrived.Add(1)
	if n == int64(party) {
		close(s.all)
	}
	select {
	case <-s.all:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.sc.late && n%2 == 0 {
		if s.sc.cut {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		<-s.closing
	}
	s.answered.Add(1)
	return &testgrpc.SimpleResponse{Payload: &testgrpc.Payload{Body: body(string(in.GetPayload().GetBody()))}}, nil
}

// scenesGRPC: after MaxConnectionAge a client is told to leave, and
// after the grace it is put out. The age counts from the start of the connection, so the first may have to leave
// before the last has come, but not before it is answered.
var scenesGRPC = []scene{{
	name: "GracefulStop", late: true, shutdown: true,
}, {
	name: "MaxConnectionAge", lingers: true,
}, {
	name: "MaxConnectionAgeGrace", lingers: true, late: true, cut: true,
}, {
	name: "Stop", shutdown: true, late: true, cut: true,
}}

func TestServerRingGRPC(t *testing.T) {
	for _, sc := range scenesGRPC {
		t.Run(sc.name, func(t *testing.T) {
			netlab.Run(t, func(lab *netlab.Lab) {
				ring(t, sc.name, []string{"grpc-go", "grpc-go TLS", "nginx"}, func(t *testing.T, guest string, ours bool) result {
					return playGRPC(t, lab, sc, guest, ours)
				})
			})
		})
	}
}

func playGRPC(t *testing.T, lab *netlab.Lab, sc scene, guest string, ours bool) result {
	h := newHost(t, lab, sc, ours)
	var l net.Listener = h.l
	if ours {
		l = h.closer.Listener(l)
	}
	var opts []grpc.ServerOption
	creds := insecure.NewCredentials()
	if guest == "grpc-go TLS" {
		cert := netlab.Certificate(t)
		opts = append(opts, grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
		creds = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})
	}
	if sc.lingers {
		grace := patience
		if sc.cut {
			grace = 200 * time.Millisecond
		}
		opts = append(opts, grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: 300 * time.Millisecond, MaxConnectionAgeGrace: grace,
		}))
	}
	srv := grpc.NewServer(opts...)
	testgrpc.RegisterTestServiceServer(srv, &troupe{host: h})
	h.shutdown = sync.OnceFunc(func() {
		close(h.closing)
		if sc.cut {
			srv.Stop()
			return
		}
		srv.GracefulStop()
	})
	go srv.Serve(l)
	t.Cleanup(srv.Stop)

	addr := h.addr
	var nginx *netlab.Server
	if guest == "nginx" {
		nginx = lab.Start(t, netlab.NginxGRPC(h.addr), netlab.Config{})
		addr = nginx.H2C
	}
	callers := newCallers(t, addr, sc.cut, creds)
	h.await("all have called", func() bool { return h.arrived.Load() >= int64(party) })
	if sc.cut && sc.shutdown {
		h.await("half are answered", func() bool { return h.answered.Load() >= int64(party/2) })
	}
	if sc.shutdown {
		h.shutdown()
	}
	if sc.lingers {
		h.await("the server has ended its connections", func() bool { return h.kept() == 0 })
	}
	whole := callers.leave()
	h.await("nothing is left but TIME_WAITs", func() bool { return h.open() == 0 })
	h.shutdown()
	if nginx != nil {
		nginx.Stop()
	}
	h.awaitEndings()
	lost := h.dues() - whole
	if sc.cut { // also what the handler had finished and grpc-go had not written
		lost = 0
	}
	return result{timeWaits: h.timeWaits(), lost: lost, ended: h.endings()}
}

// callers make one call each, on a connection each.
type callers struct {
	t     *testing.T
	cut   bool // the server may break off
	conns []*grpc.ClientConn
	wg    sync.WaitGroup
	mu    sync.Mutex
	whole int
}

func newCallers(t *testing.T, addr netip.AddrPort, cut bool, creds credentials.TransportCredentials) *callers {
	c := &callers{t: t, cut: cut}
	for i := range party {
		cc, err := grpc.NewClient("passthrough:///"+addr.String(), grpc.WithTransportCredentials(creds))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cc.Close() })
		c.conns = append(c.conns, cc)
		c.wg.Go(func() { c.call(cc, strconv.Itoa(i)) })
	}
	return c
}

func (c *callers) call(cc *grpc.ClientConn, name string) {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	in := &testgrpc.SimpleRequest{Payload: &testgrpc.Payload{Body: []byte(name)}}
	out, err := testgrpc.NewTestServiceClient(cc).UnaryCall(ctx, in)
	if code := status.Code(err); c.cut && (code == codes.Unavailable || code == codes.Internal) {
		return // Internal is a proxy's reset of the stream
	}
	if err != nil {
		c.t.Errorf("call %s: %v", name, err)
		return
	}
	if !bytes.Equal(out.GetPayload().GetBody(), body(name)) {
		c.t.Errorf("call %s: other bytes came", name)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.whole++
}

func (c *callers) leave() int {
	c.wg.Wait()
	for _, cc := range c.conns {
		cc.Close()
	}
	return c.whole
}
