package grpcpool

import (
	"context"
	"fmt"
	"maps"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/lastack/lastack/dialer"
)

// TestSocketOptions: the sockets of our channels are like those of grpc-go's own
// dialer, TCP_USER_TIMEOUT among the rest, which grpc-go does not set on
// connections of any other.
func TestSocketOptions(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	serve(t, l)
	target := l.Addr().String()
	user := grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout})
	stock := socketOptions(t, target, user)
	if got := stock["TCP_USER_TIMEOUT"]; got != int(keepaliveTimeout/time.Millisecond) {
		t.Fatalf("the test has stock's TCP_USER_TIMEOUT wrong: %d ms", got)
	}
	if ours := socketOptions(t, target, DialOptions(nil)...); !maps.Equal(ours, stock) {
		t.Errorf("%v; stock %v", ours, stock)
	}
	d := newDialer()
	d.UserTimeout = 7 * time.Second
	stock["TCP_USER_TIMEOUT"] = 7000
	if ours := socketOptions(t, target, DialOptions(d)...); !maps.Equal(ours, stock) {
		t.Errorf("with UserTimeout: %v; stock %v", ours, stock)
	}

	// The wrapper alone would have none.
	naive := grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		return struct{ *net.TCPConn }{c.(*net.TCPConn)}, nil
	})
	if got := socketOptions(t, target, naive, user)["TCP_USER_TIMEOUT"]; got != 0 {
		t.Errorf("grpc-go sets TCP_USER_TIMEOUT on any connection by now: %d ms", got)
	}
}

// A pool's keepalive decides as grpc-go's own does, whoever's the Dialer is.
func TestPoolUserTimeout(t *testing.T) {
	target := (&echo{}).start(t)
	for _, tc := range []struct {
		dialer *dialer.Dialer
		want   int
	}{{nil, 5000}, {newDialer(), 5000}, {&dialer.Dialer{UserTimeout: 7 * time.Second}, 7000}} {
		p, client := pooled(t, target, Config{Dialer: tc.dialer, Keepalive: keepalive.ClientParameters{Timeout: 5 * time.Second}})
		if err := invoke(t.Context(), client); err != nil {
			t.Fatal(err)
		}
		(*p.set.Load())[0].wires[0].Conn.(*conn).raw.Control(func(fd uintptr) {
			got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
			if err != nil || got != tc.want {
				t.Errorf("Dialer %v: %d ms (%v), want %d", tc.dialer, got, err, tc.want)
			}
		})
	}
}

// socketOptions returns what is set on the socket of a channel at rest.
func socketOptions(t *testing.T, target string, opts ...grpc.DialOption) map[string]int {
	t.Helper()
	spy := &spy{TransportCredentials: insecure.NewCredentials()}
	cc, err := grpc.NewClient(target, append(opts, grpc.WithTransportCredentials(spy))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	if _, err := healthpb.NewHealthClient(cc).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	sc, ok := spy.conn().(syscall.Conn)
	if !ok {
		t.Fatalf("%T is no syscall.Conn", spy.conn())
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	err = raw.Control(func(fd uintptr) {
		for name, opt := range map[string][2]int{
			"TCP_USER_TIMEOUT": {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT},
			"TCP_NODELAY":      {unix.IPPROTO_TCP, unix.TCP_NODELAY},
			"TCP_KEEPIDLE":     {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE},
			"TCP_KEEPINTVL":    {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL},
			"TCP_KEEPCNT":      {unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
			"SO_KEEPALIVE":     {unix.SOL_SOCKET, unix.SO_KEEPALIVE},
			"SO_PROTOCOL":      {unix.SOL_SOCKET, unix.SO_PROTOCOL},
		} {
			v, err := unix.GetsockoptInt(int(fd), opt[0], opt[1])
			if err != nil {
				t.Error(fmt.Errorf("%s: %w", name, err))
			}
			got[name] = v
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// A spy sees the connections that a channel's transports use.
type spy struct {
	credentials.TransportCredentials
	mu   sync.Mutex
	last net.Conn
}

func (s *spy) ClientHandshake(ctx context.Context, authority string, c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	s.mu.Lock()
	s.last = c
	s.mu.Unlock()
	return s.TransportCredentials.ClientHandshake(ctx, authority, c)
}

func (s *spy) Clone() credentials.TransportCredentials { return s }

func (s *spy) conn() net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}
