package linger_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/linger"
)

// protocolConns is how many connections end in each scene.
const protocolConns = 20

// A speaker opens connections to a server behind l that end when stop is called,
// or by themselves, and returns when the clients have seen the end.
type speaker struct {
	name  string
	speak func(t *testing.T, l net.Listener)
	pays  bool // with TIME_WAITs, without the listener
}

// TestKernelServingProtocols: net/http's server with TLS and HTTP/2, and
// grpc-go's, leave no TIME_WAIT however they end their connections. Stock, most of
// them are spared one by clients that speak once more and are reset for it.
func TestKernelServingProtocols(t *testing.T) {
	speakers := []speaker{
		{"HTTPS, idle timeout", serveHTTP(true, 1, 100*time.Millisecond), false},
		{"HTTPS, Shutdown", serveHTTP(true, 1, 0), false},
		{"HTTP/2, idle timeout", serveHTTP(true, 2, 100*time.Millisecond), false},
		{"HTTP/2, Shutdown", serveHTTP(true, 2, 0), false},
		{"plaintext HTTP/2, idle timeout", serveHTTP(false, 2, 100*time.Millisecond), true},
		{"plaintext HTTP/2, Shutdown", serveHTTP(false, 2, 0), true},
		{"gRPC, GracefulStop", serveGRPC((*grpc.Server).GracefulStop), false},
		{"gRPC, Stop", serveGRPC((*grpc.Server).Stop), false},
		{"gRPC, MaxConnectionAge", serveGRPC(nil, grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: 200 * time.Millisecond, MaxConnectionAgeGrace: 200 * time.Millisecond})), false},
		{"gRPC, MaxConnectionIdle", serveGRPC(nil, grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: 200 * time.Millisecond})), false},
	}
	netlab.Run(t, func(lab *netlab.Lab) {
		t.Run("all", func(t *testing.T) { // at a time: most of it is waiting
			for _, s := range speakers {
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					if s.pays {
						stock, _ := s.hold(t, lab, nil)
						t.Logf("stock: %d TIME_WAITs of a server with %d connections", stock, protocolConns)
					}
					served, endings := s.hold(t, lab, new(linger.Closer))
					t.Logf("%v", endings)
					if served != 0 {
						t.Errorf("the server keeps %d TIME_WAITs", served)
					}
				})
			}
		})
	})
}

func (s speaker) hold(t *testing.T, lab *netlab.Lab, closer *linger.Closer) (timeWaits int, by map[linger.Ending]int) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(l.Addr().String())
	by = make(map[linger.Ending]int)
	if closer != nil {
		closer.Ended = func(e linger.Ending) { by[e]++ }
		l = closer.Listener(l)
	}
	s.speak(t, l)
	if closer != nil {
		if err := closer.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	lab.Settle(t, addr, 10*time.Second)
	server := lab.States(t, addr).Server
	return server.TimeWaits() + server.MiniFinWait2, by
}

// serveHTTP opens idle connections of net/http's client to its server, which
// closes them after idle, or, if that is zero, because it is shut down.
func serveHTTP(withTLS bool, major int, idle time.Duration) func(*testing.T, net.Listener) {
	return func(t *testing.T, l net.Listener) {
		var protocols http.Protocols
		protocols.SetHTTP1(major == 1)
		protocols.SetHTTP2(major == 2 && withTLS)
		protocols.SetUnencryptedHTTP2(major == 2 && !withTLS)
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, r.Proto)
		}))
		srv.Listener.Close()
		srv.Listener = l
		srv.Config.Protocols = &protocols
		srv.Config.IdleTimeout = idle
		if withTLS {
			srv.EnableHTTP2 = major == 2
			srv.StartTLS()
		} else {
			srv.Start()
		}
		var open, asked atomic.Int64
		roots := srv.Client().Transport.(*http.Transport).TLSClientConfig
		var clients sync.WaitGroup
		for range protocolConns {
			clients.Go(func() {
				tr := &http.Transport{TLSClientConfig: roots.Clone(), Protocols: &protocols}
				tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					c, err := new(net.Dialer).DialContext(ctx, network, addr)
					if err == nil {
						open.Add(1)
						c = &closeCounter{Conn: c, open: &open}
					}
					return c, err
				}
				resp, err := tr.RoundTrip(httptest.NewRequestWithContext(t.Context(), "GET", srv.URL, nil))
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.ProtoMajor != major {
					t.Errorf("the server speaks %s", resp.Proto)
				}
				asked.Add(1)
			})
		}
		clients.Wait()
		if idle == 0 {
			if err := srv.Config.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}
		netlab.Eventually(t, 20*time.Second, "the clients have closed", func() bool { return open.Load() == 0 })
		srv.Config.Shutdown(t.Context())
	}
}

// A closeCounter is an open connection.
type closeCounter struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

func (c *closeCounter) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.open.Add(-1) })
	return err
}

// serveGRPC opens idle connections of grpc-go's client to its server, which
// closes them by itself or because it is stopped.
func serveGRPC(stop func(*grpc.Server), opts ...grpc.ServerOption) func(*testing.T, net.Listener) {
	return func(t *testing.T, l net.Listener) {
		srv := grpc.NewServer(opts...)
		healthpb.RegisterHealthServer(srv, health.NewServer())
		go srv.Serve(l)
		var clients []*grpc.ClientConn
		for range protocolConns {
			cc, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			clients = append(clients, cc)
			if _, err := healthpb.NewHealthClient(cc).Check(t.Context(), new(healthpb.HealthCheckRequest)); err != nil {
				t.Error(err)
			}
		}
		if stop != nil {
			stop(srv)
		}
		for _, cc := range clients {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			for s := connectivity.Ready; s == connectivity.Ready && ctx.Err() == nil; s = cc.GetState() {
				cc.WaitForStateChange(ctx, s)
			}
			cancel()
			cc.Close()
		}
		srv.Stop()
	}
}
