package grpcpool

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/local"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/peer"

	"github.com/lastack/lastack/internal/netlab"
)

// serveHealth serves gRPC on loopback until the test is over.
func serveHealth(t testing.TB, opts ...grpc.ServerOption) (addr string) {
	t.Helper()
	l := listen(t, "tcp", "127.0.0.1:0")
	serve(t, l, opts...)
	return l.Addr().String()
}

// tlsPair returns the credentials of a server on loopback, and of its clients.
func tlsPair(t testing.TB) (server, client credentials.TransportCredentials) {
	t.Helper()
	https := httptest.NewTLSServer(nil) // has a certificate for 127.0.0.1
	defer https.Close()
	roots := x509.NewCertPool()
	roots.AddCert(https.Certificate())
	return credentials.NewServerTLSFromCert(&https.TLS.Certificates[0]), credentials.NewClientTLSFromCert(roots, "")
}

// An audience hears all connections of a test, and counts them.
type audience struct {
	script // guarded by mu

	mu     sync.Mutex
	raws   []net.Conn
	opened int
	closed int
}

func (a *audience) open(raw net.Conn) hearer {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.opened++
	a.raws = append(a.raws, raw)
	return &seat{a}
}

func (a *audience) heard() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.lines)
}

func (a *audience) counts() (opened, closed int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.opened, a.closed
}

// A seat is the hearer of one connection.
type seat struct{ a *audience }

func (s *seat) settings(n uint32) {
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.a.script.settings(n)
}

func (s *seat) goAway(code uint32, debug string) {
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.a.script.goAway(code, debug)
}

func (s *seat) closed() {
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.a.closed++
}

// A readyConn reads without a buffer of its own, and counts how it is read.
type readyConn struct {
	*net.TCPConn
	mu           sync.Mutex
	ready, plain int
}

func (c *readyConn) ReadOnReady(size int, pool mem.BufferPool) (*[]byte, int, error) {
	c.mu.Lock()
	c.ready++
	c.mu.Unlock()
	b := pool.Get(size)
	n, err := c.TCPConn.Read(*b)
	if err != nil {
		pool.Put(b)
		return nil, 0, err
	}
	return b, n, nil
}

func (c *readyConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	c.plain++
	c.mu.Unlock()
	return c.TCPConn.Read(p)
}

func (c *readyConn) reads() (ready, plain int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready, c.plain
}

func dialReady(ctx context.Context, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &readyConn{TCPConn: c.(*net.TCPConn)}, nil
}

// scrambled are credentials as some have of their own: the conn of a handshake
// shows nothing of the one below, and what is on the wire is not what is read.
type scrambled struct {
	credentials.TransportCredentials
}

type scrambledConn struct{ net.Conn }

func (c scrambledConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for i := range p[:n] {
		p[i] ^= 0x55
	}
	return n, err
}

func (c scrambledConn) Write(p []byte) (int, error) {
	q := slices.Clone(p)
	for i := range q {
		q[i] ^= 0x55
	}
	return c.Conn.Write(q)
}

func (s scrambled) ClientHandshake(ctx context.Context, authority string, c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, info, err := s.TransportCredentials.ClientHandshake(ctx, authority, c)
	return scrambledConn{c}, info, err
}

func (s scrambled) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, info, err := s.TransportCredentials.ServerHandshake(c)
	return scrambledConn{c}, info, err
}

func (s scrambled) Clone() credentials.TransportCredentials { return s }

func TestObserving(t *testing.T) {
	tlsServer, tlsClient := tlsPair(t)
	for _, c := range []struct {
		name           string
		server, client credentials.TransportCredentials
		ready          bool // read without a buffer
	}{
		{"insecure", insecure.NewCredentials(), insecure.NewCredentials(), true},
		{"tls", tlsServer, tlsClient, false},
		{"local", local.NewCredentials(), local.NewCredentials(), true},
		{"scrambled", scrambled{insecure.NewCredentials()}, scrambled{insecure.NewCredentials()}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := serveHealth(t, grpc.Creds(c.server), grpc.MaxConcurrentStreams(7))
			check := func(opt grpc.DialOption) *peer.Peer {
				t.Helper()
				cc, err := grpc.NewClient(addr, opt, grpc.WithContextDialer(dialReady))
				if err != nil {
					t.Fatal(err)
				}
				defer cc.Close()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				p := new(peer.Peer)
				if _, err := healthpb.NewHealthClient(cc).Check(ctx, new(healthpb.HealthCheckRequest), grpc.Peer(p)); err != nil {
					t.Fatal(err)
				}
				return p
			}
			bare := check(grpc.WithTransportCredentials(c.client))

			var a audience
			p := check(grpc.WithTransportCredentials(observing(c.client, a.open)))
			if got := a.heard(); !slices.Equal(got, []string{"settings 7"}) {
				t.Errorf("heard %q", got)
			}
			if opened, closed := a.counts(); opened != 1 || closed != 1 {
				t.Errorf("%d opened, %d closed, want one each", opened, closed)
			}
			if got, want := p.AuthInfo.AuthType(), bare.AuthInfo.AuthType(); got != want {
				t.Errorf("AuthInfo is of %q, without us of %q", got, want)
			}
			raw, ok := a.raws[0].(*readyConn)
			if !ok {
				t.Fatalf("open was given a %T, not what was dialled", a.raws[0])
			}
			if ready, plain := raw.reads(); (ready > 0) != c.ready || (plain > 0) == c.ready {
				t.Errorf("%d reads without a buffer, %d with one", ready, plain)
			}
		})
	}
}

// withXDS are credentials that xDS configures.
type withXDS struct {
	credentials.TransportCredentials
	uses bool
}

func (x withXDS) UsesXDS() bool                           { return x.uses }
func (x withXDS) Clone() credentials.TransportCredentials { return x }

func TestObservingIsTheSame(t *testing.T) {
	open := func(net.Conn) hearer { return nil }
	plain := credentials.NewTLS(&tls.Config{ServerName: "example.com"})
	seen := observing(plain, open)
	for range 2 {
		if got, want := seen.Info(), plain.Info(); got != want {
			t.Errorf("Info is %+v, without us %+v", got, want)
		}
		if _, ok := seen.(usesXDS); ok {
			t.Error("TLS has become xDS")
		}
		seen = seen.Clone()
	}

	clone := seen.Clone()
	//lint:ignore SA1019 who still calls it must get what it gives
	if err := clone.OverrideServerName("other.example"); err != nil {
		t.Fatal(err)
	}
	if got := clone.Info().ServerName; got != "other.example" {
		t.Errorf("the clone's server is %q", got)
	}
	if got := seen.Info().ServerName; got != "example.com" {
		t.Errorf("the original's server has become %q", got)
	}

	for _, uses := range []bool{false, true} {
		x := observing(withXDS{plain, uses}, open)
		for range 2 {
			u, ok := x.(usesXDS)
			if !ok || u.UsesXDS() != uses {
				t.Errorf("UsesXDS() of %T: has it %v, want %v", x, ok, uses)
			}
			x = x.Clone()
		}
	}
}

// What the conn of a handshake can do, the observed one can, and no more.
func TestObservedConnKinds(t *testing.T) {
	type onlyConn struct{ net.Conn }
	type onlySys struct {
		net.Conn
		sysConn
	}
	type onlyReady struct {
		net.Conn
		readsWhenReady
	}
	raw, peer := net.Pipe()
	defer raw.Close()
	defer peer.Close()
	both := new(readyConn)
	for _, c := range []net.Conn{onlyConn{raw}, onlySys{raw, both}, onlyReady{raw, both}, both} {
		_, sys := c.(syscall.Conn)
		_, ready := c.(readsWhenReady)
		o := observe(c, raw, nil)
		if _, has := o.(syscall.Conn); has != sys {
			t.Errorf("%T: SyscallConn: has %v, want %v", c, has, sys)
		}
		if _, has := o.(readsWhenReady); has != ready {
			t.Errorf("%T: ReadOnReady: has %v, want %v", c, has, ready)
		}
		if below, ok := o.(interface{ NetConn() net.Conn }); !ok || below.NetConn() != c {
			t.Errorf("%T: NetConn is not what is below", c)
		}
	}
}

// A connection that is closed while it is first read has one hearer at most, who
// hears of the end once.
func TestObservedConnClosedEarly(t *testing.T) {
	for range 200 {
		var a audience
		c, peer := net.Pipe()
		o := observe(c, c, a.open)
		var wg sync.WaitGroup
		wg.Go(func() { o.Read(make([]byte, 1)) })
		for range 2 {
			wg.Go(func() { o.Close() })
		}
		wg.Wait()
		peer.Close()
		if opened, closed := a.counts(); opened != closed || opened > 1 {
			t.Fatalf("%d opened, %d closed", opened, closed)
		}
	}
}

// onTLSOnly are call credentials that want more security than local ones have.
type onTLSOnly struct{}

func (onTLSOnly) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return nil, nil
}
func (onTLSOnly) RequireTransportSecurity() bool { return true }

// grpc-go drops a connection after its handshake, and closes only what was
// dialled: nobody is left to hear of it.
func TestObservedConnDropped(t *testing.T) {
	addr := serveHealth(t, grpc.Creds(local.NewCredentials()))
	var a audience
	tried := make(chan struct{}, 100)
	cc, err := grpc.NewClient(addr, grpc.WithPerRPCCredentials(onTLSOnly{}), grpc.WithContextDialer(dialReady),
		grpc.WithTransportCredentials(announced{observing(local.NewCredentials(), a.open), tried}))
	if err != nil {
		t.Fatal(err)
	}
	cc.Connect()
	<-tried
	cc.Close()
	netlab.Eventually(t, time.Minute, "all are closed", func() bool {
		opened, closed := a.counts()
		return opened == closed
	})
}

// announced are credentials that say when a handshake is over.
type announced struct {
	credentials.TransportCredentials
	over chan struct{}
}

func (a announced) ClientHandshake(ctx context.Context, authority string, c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, info, err := a.TransportCredentials.ClientHandshake(ctx, authority, c)
	a.over <- struct{}{}
	return c, info, err
}

func (a announced) Clone() credentials.TransportCredentials { return a }
