package grpcpool

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/grpclog"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/sockdiag"
	"github.com/lastack/lastack/metrics"
)

// ringConns is how many connections each scene of the kernel ring makes: as
// many channels of one connection.
const ringConns = 200

// protos are plaintext and TLS.
var protos = []string{"h2c", "h2"}

// ring runs f in a namespace of its own, with grpc-go's log switched off: 200
// servers that die would be as many lines.
func ring(t *testing.T, f func(*netlab.Lab)) {
	netlab.Run(t, func(lab *netlab.Lab) {
		grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
		f(lab)
	})
}

// A service answers calls at once, but for FullDuplexCall: that one sends a
// message and then lasts until it is released.
type service struct {
	testgrpc.UnimplementedTestServiceServer
	released chan struct{}
	release  func()
}

func newService() *service {
	s := &service{released: make(chan struct{})}
	s.release = sync.OnceFunc(func() { close(s.released) })
	return s
}

func (*service) EmptyCall(context.Context, *testgrpc.Empty) (*testgrpc.Empty, error) {
	return &testgrpc.Empty{}, nil
}

func (s *service) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	if err := stream.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
		return err
	}
	select {
	case <-s.released:
		return nil
	case <-stream.Context().Done():
		return stream.Context().Err()
	}
}

// A stage is where a scene of the kernel ring is played: a server, and channels
// that are stock grpc-go's or ours.
type stage struct {
	t     *testing.T
	lab   *netlab.Lab
	proto string
	ours  bool

	addr netip.AddrPort
	svc  *service
	grpc *grpc.Server      // if the scene's server is grpc-go's own, and in this process
	quit func()            // has a server of another kind shut down gracefully
	kill func()            // kills the server, if it is a process
	opts []grpc.DialOption // of the channels
	d    *dialer.Dialer    // if ours
	ccs  []*grpc.ClientConn
}

// secure reports whether the stage's connections are encrypted.
func (s *stage) secure() bool { return s.proto == "h2" }

// serverTLS is the configuration of a TLS server, of whatever kind. Its key is
// of a kind with which 200 handshakes are quick.
var serverTLS = sync.OnceValue(func() *tls.Config {
	public, private, _ := ed25519.GenerateKey(nil)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		panic(err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: private}},
		NextProtos:   []string{"h2"},
	}
})

// clientCredentials are those of every client, for every server.
func clientCredentials(proto string) credentials.TransportCredentials {
	if proto == "h2" {
		return credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})
	}
	return insecure.NewCredentials()
}

// listen opens the port of a server that this process is.
func (s *stage) listen() net.Listener {
	s.t.Helper()
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = netip.MustParseAddrPort(l.Addr().String())
	return l
}

// grpcServer is the server of most scenes: grpc-go's own.
func grpcServer(tune ...grpc.ServerOption) func(*stage) {
	return func(s *stage) {
		l := s.listen()
		s.svc, s.grpc = serveGRPC(s.t, l, s.secure(), tune...)
	}
}

// serveGRPC serves with grpc-go until the test is over.
func serveGRPC(t *testing.T, l net.Listener, secure bool, tune ...grpc.ServerOption) (*service, *grpc.Server) {
	if secure {
		tune = append(tune, grpc.Creds(credentials.NewTLS(serverTLS())))
	}
	srv, svc := grpc.NewServer(tune...), newService()
	testgrpc.RegisterTestServiceServer(srv, svc)
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(l) })
	t.Cleanup(func() { svc.release(); srv.Stop(); wg.Wait() })
	return svc, srv
}

// target is the address of the server as a channel wants it.
func (s *stage) target() string {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), s.addr.Port()).String()
}

// channelOptions are those with which every channel begins.
func channelOptions(ours bool, d *dialer.Dialer, proto string) []grpc.DialOption {
	opts := []grpc.DialOption{grpc.WithTransportCredentials(clientCredentials(proto))}
	if ours {
		opts = append(DialOptions(d), opts...)
	}
	return opts
}

// channel makes a channel to the target, with the scene's options and more.
func (s *stage) channel(target string, more ...grpc.DialOption) *grpc.ClientConn {
	s.t.Helper()
	cc, err := grpc.NewClient(target, slices.Concat(channelOptions(s.ours, s.d, s.proto), s.opts, more)...)
	if err != nil {
		s.t.Fatal(err)
	}
	return cc
}

// channels makes ringConns channels.
func (s *stage) channels() {
	for range ringConns {
		s.ccs = append(s.ccs, s.channel(s.target()))
	}
}

// open makes ringConns channels, and has each make one call.
func (s *stage) open() {
	s.t.Helper()
	s.channels()
	s.call()
}

// call makes a call on each channel. It is made again where the server closes a
// connection before its first call, as one with a clock of its own may.
func (s *stage) call() {
	s.t.Helper()
	s.each(func(cc *grpc.ClientConn) (err error) {
		for range 20 {
			_, err = testgrpc.NewTestServiceClient(cc).EmptyCall(s.t.Context(), &testgrpc.Empty{}, grpc.WaitForReady(true))
			if status.Code(err) != codes.Unavailable {
				break
			}
		}
		return err
	})
}

// each calls f for all channels, not too many at once: servers have no patience
// with a handshake that takes seconds.
func (s *stage) each(f func(*grpc.ClientConn) error) {
	s.t.Helper()
	var g errgroup.Group
	g.SetLimit(20)
	for _, cc := range s.ccs {
		g.Go(func() error {
			if err := f(cc); err != nil {
				s.t.Errorf("ours %t: %v", s.ours, err)
			}
			return nil
		})
	}
	g.Wait()
}

// begin starts a stream on each channel and returns when all are under way. The
// function that it returns waits for their ends, and reports errors unless they
// are allowed.
func (s *stage) begin(allowErrors bool) (finish func()) {
	s.t.Helper()
	streams := make(chan testgrpc.TestService_FullDuplexCallClient, len(s.ccs))
	s.each(func(cc *grpc.ClientConn) error {
		stream, err := testgrpc.NewTestServiceClient(cc).FullDuplexCall(s.t.Context())
		if err != nil {
			return err
		}
		streams <- stream
		if _, err := stream.Recv(); !allowErrors {
			return err
		}
		return nil
	})
	close(streams)
	return func() {
		s.t.Helper()
		for stream := range streams {
			if _, err := stream.Recv(); !errors.Is(err, io.EOF) && !allowErrors {
				s.t.Errorf("ours %t: a stream ended with %v", s.ours, err)
			}
		}
	}
}

// awaitNotReady waits until every channel knows that its connection is over.
func (s *stage) awaitNotReady(within time.Duration) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), within)
	defer cancel()
	for _, cc := range s.ccs {
		if cc.GetState() == connectivity.Ready && !cc.WaitForStateChange(ctx, connectivity.Ready) {
			s.t.Fatalf("ours %t: a channel does not know of its connection's end", s.ours)
		}
	}
}

// close closes the channels, one after the other.
func (s *stage) close() {
	for _, cc := range s.ccs {
		cc.Close()
	}
}

// awaitOpen waits until n connections to the server are open.
func (s *stage) awaitOpen(n int) {
	s.t.Helper()
	netlab.Eventually(s.t, 30*time.Second, "the connections end", func() bool {
		return s.lab.States(s.t, s.addr).Client.By[sockdiag.Established] == n
	})
}

// awaitEnd waits until no connection to the server is open.
func (s *stage) awaitEnd() { s.t.Helper(); s.awaitOpen(0) }

// A scene is one way for connections to end.
type scene struct {
	name   string
	server func(*stage)      // nil: grpc-go's
	opts   []grpc.DialOption // of the channels
	play   func(*stage)      // opens and ends the connections
	pays   bool              // stock grpc-go is known to pay for most of its plaintext connections
}

// playAll plays the scenes, each in the same namespace with stock grpc-go and
// with our options, and compares the kernel's count of TIME_WAIT sockets.
func playAll(t *testing.T, scenes []scene) {
	for _, sc := range scenes {
		for _, proto := range protos {
			t.Run(strings.ReplaceAll(sc.name, " ", "_")+"/"+proto, func(t *testing.T) {
				t.Parallel() // most of them wait for a clock
				ring(t, func(lab *netlab.Lab) {
					stockClient, stockServer := playOnce(t, lab, sc, proto, false)
					client, server := playOnce(t, lab, sc, proto, true)
					t.Logf("%s: TIME_WAIT of %d channels: client %d, server %d; stock grpc-go: client %d, server %d",
						t.Name(), ringConns, client, server, stockClient, stockServer)
					if sc.pays && proto == "h2c" && stockClient < ringConns/2 {
						t.Errorf("of stock grpc-go only %d TIME_WAIT were seen: what would be seen of ours?", stockClient)
					}
				})
			})
		}
	}
}

// playOnce plays the scene and returns the TIME_WAIT sockets that it leaves.
func playOnce(t *testing.T, lab *netlab.Lab, sc scene, proto string, ours bool) (client, server int) {
	s := newStage(t, lab, proto, ours)
	s.opts = sc.opts
	if sc.server == nil {
		sc.server = grpcServer()
	}
	sc.server(s)
	check := netlab.Leaks(t)
	sc.play(s)
	s.close()
	client, server = s.judge()
	if ours && s.grpc != nil {
		check()
	}
	return client, server
}

func newStage(t *testing.T, lab *netlab.Lab, proto string, ours bool) *stage {
	s := &stage{t: t, lab: lab, proto: proto, ours: ours}
	if ours {
		s.d = newDialer()
		s.d.Meter = new(metrics.Meter)
	}
	return s
}

// judge waits until everything has ended, and returns the TIME_WAIT sockets of
// either side. A connection of ours must have left none here, and nothing else,
// and our accounts must say so. A socket that the kernel alone still holds in
// FIN_WAIT2 counts as a TIME_WAIT.
func (s *stage) judge() (client, server int) {
	s.t.Helper()
	if s.ours {
		// Where the server has ended a connection, Close of the channel does
		// not wait until the transport has closed it.
		netlab.Eventually(s.t, 10*time.Second, "the transports close their connections", func() bool {
			a := s.d.Meter.Snapshot()
			return a.Resting+a.Busy+a.Dialing == 0
		})
		ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
		defer cancel()
		if err := s.d.Shutdown(ctx); err != nil {
			s.t.Error(err)
		}
	}
	s.lab.Settle(s.t, s.addr, 10*time.Second)
	st := s.lab.States(s.t, s.addr)
	client, server = st.Client.TimeWaits()+st.Client.MiniFinWait2, st.Server.TimeWaits()+st.Server.MiniFinWait2
	if !s.ours {
		return client, server
	}
	if len(st.Client.By) != 0 {
		s.t.Errorf("this side has sockets left: %v", st.Client)
	}
	a := s.d.Meter.Snapshot()
	if err := a.Balance(); err != nil {
		s.t.Error(err)
	}
	if n := a.Resting + a.Busy + a.Leaving + a.Dialing; n != 0 {
		s.t.Errorf("%d connections are left in the accounts: %v", n, a)
	}
	if int(a.TimeWaits) != client {
		s.t.Errorf("our own count of TIME_WAITs is %d, the kernel's %d", a.TimeWaits, client)
	}
	if a.Born < ringConns {
		s.t.Errorf("only %d connections were made", a.Born)
	}
	s.t.Logf("endings %v, reasons %v", a.Ended, a.Reasons)
	return client, server
}

// port is the server's.
func (s *stage) port() string { return strconv.Itoa(int(s.addr.Port())) }
