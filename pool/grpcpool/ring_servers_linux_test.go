package grpcpool

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/lastack/lastack/internal/netlab"
)

// TestKernelOtherServers: the endings that a channel cannot do without, with
// servers that are not grpc-go's own, or not alone.
func TestKernelOtherServers(t *testing.T) {
	servers := []struct {
		name string
		with func(idle time.Duration) func(*stage)
	}{
		{"ServeHTTP", httpServer},
		{"nginx", proxied(netlab.NginxGRPC)},
		{"haproxy", proxied(netlab.HAProxyGRPC)},
	}
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			any := server.with(0)
			playAll(t, []scene{{
				name: "Close", server: any,
				play: func(s *stage) { s.open(); s.close(); s.awaitEnd() },
			}, {
				name: "Close with streams", server: any,
				play: closeWithStreams,
			}, {
				name: "idle timeout", server: any,
				opts: []grpc.DialOption{grpc.WithIdleTimeout(soon)},
				play: func(s *stage) { s.open(); s.awaitEnd() },
			}, {
				name: "server's idle timeout", server: server.with(time.Second),
				play: func(s *stage) { s.open(); s.awaitEnd() },
			}, {
				name: "shutdown", server: any,
				play: func(s *stage) { s.open(); s.quit(); s.awaitEnd() },
			}, {
				name: "shutdown with streams", server: any,
				play: func(s *stage) {
					s.open()
					finish := s.begin(false)
					s.quit()
					s.svc.release()
					finish()
					s.awaitEnd()
				},
			}})
		})
	}
}

// httpServer is net/http's server, which hands calls to grpc-go.
func httpServer(idle time.Duration) func(*stage) {
	return func(s *stage) {
		l := s.listen()
		calls := grpc.NewServer()
		s.svc = newService()
		testgrpc.RegisterTestServiceServer(calls, s.svc)
		srv := &http.Server{
			Handler: calls, IdleTimeout: idle, Protocols: new(http.Protocols), TLSConfig: serverTLS().Clone(),
			ErrorLog: log.New(io.Discard, "", 0),
		}
		srv.Protocols.SetHTTP2(s.secure())
		srv.Protocols.SetUnencryptedHTTP2(!s.secure())
		var wg sync.WaitGroup
		wg.Go(func() {
			if s.secure() {
				srv.ServeTLS(l, "", "")
			} else {
				srv.Serve(l)
			}
		})
		s.quit = func() { wg.Go(func() { srv.Shutdown(context.Background()) }) }
		s.t.Cleanup(func() {
			s.svc.release()
			srv.Close()
			wg.Wait()
		})
	}
}

// proxied is a program in front of grpc-go's server.
func proxied(through func(netip.AddrPort) netlab.Program) func(idle time.Duration) func(*stage) {
	return func(idle time.Duration) func(*stage) {
		return func(s *stage) {
			l := s.listen()
			s.svc, _ = serveGRPC(s.t, l, false)
			backend := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), s.addr.Port())
			proxy := s.lab.Start(s.t, through(backend), netlab.Config{KeepAlive: idle})
			s.addr = proxy.H2C
			if s.secure() {
				s.addr = proxy.TLS
			}
			s.quit = func() {
				if err := proxy.Quit(); err != nil {
					s.t.Error(err)
				}
			}
		}
	}
}
