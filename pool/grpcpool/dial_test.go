package grpcpool

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// serve serves a health service on l until the test is over.
func serve(t testing.TB, l net.Listener, opts ...grpc.ServerOption) *grpc.Server {
	t.Helper()
	srv := grpc.NewServer(opts...)
	healthpb.RegisterHealthServer(srv, health.NewServer())
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(l) })
	t.Cleanup(func() { srv.Stop(); wg.Wait() })
	return srv
}

func listen(t testing.TB, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// call makes a channel to the target over d, and one call through it.
func call(t testing.TB, d *dialer.Dialer, target string, opts ...grpc.DialOption) error {
	t.Helper()
	opts = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, opts...)
	cc, err := grpc.NewClient(target, append(DialOptions(d), opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = healthpb.NewHealthClient(cc).Check(ctx, &healthpb.HealthCheckRequest{})
	return err
}

// TestTargets: every kind of target that a channel without a dialer takes.
func TestTargets(t *testing.T) {
	tcp := listen(t, "tcp", "127.0.0.1:0")
	serve(t, tcp)
	_, port, _ := net.SplitHostPort(tcp.Addr().String())
	t.Chdir(t.TempDir())
	path, err := filepath.Abs("s")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, listen(t, "unix", "s"))
	for _, target := range []string{
		tcp.Addr().String(), "dns:///" + tcp.Addr().String(), "dns:///localhost:" + port,
		"passthrough:///" + tcp.Addr().String(), "passthrough:///localhost:" + port,
		"unix:s", "unix:" + path, "unix://" + path,
	} {
		if err := call(t, nil, target); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
}

func TestSplit(t *testing.T) {
	for target, want := range map[string][2]string{
		"127.0.0.1:80":        {"tcp", "127.0.0.1:80"},
		"[::1]:80":            {"tcp", "[::1]:80"},
		"name:80":             {"tcp", "name:80"},
		"unix:a/b":            {"unix", "a/b"},
		"unix:///a/b":         {"unix", "/a/b"},
		"unix:/a/b":           {"unix", "/a/b"},
		"\x00abstract":        {"unix", "@abstract"},
		"unixes.example:5000": {"tcp", "unixes.example:5000"},
	} {
		network, address := split(target)
		if got := [2]string{network, address}; got != want {
			t.Errorf("%q: %q, want %q", target, got, want)
		}
	}
}

// TestErrno: whoever looks for the kernel's reason finds it.
func TestErrno(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	l.Close()
	_, err := newDialing(nil).dial(t.Context(), l.Addr().String())
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want ECONNREFUSED", err)
	}
	if err := call(t, nil, l.Addr().String()); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v, want Unavailable", err)
	}
	bad := &dialer.Dialer{UserTimeout: -1}
	if _, err := newDialing(bad).dial(t.Context(), l.Addr().String()); !errors.As(err, new(*dialer.FieldError)) {
		t.Errorf("got %v, want a FieldError", err)
	}
}

// TestLoserIsReset: of two addresses the first does not answer in time, and the
// connection to it is given up before any call was sent on it.
func TestLoserIsReset(t *testing.T) {
	slow, fast := listen(t, "tcp", "127.0.0.1:0"), listen(t, "tcp", "127.0.0.1:0")
	serve(t, fast)
	lost := make(chan error, 1)
	go func() {
		c, err := slow.Accept()
		if err == nil {
			defer c.Close()
			_, err = io.Copy(io.Discard, c)
		}
		lost <- err
	}()
	defer slow.Close()
	addrs := manual.NewBuilderWithScheme("two")
	addrs.InitialState(resolver.State{Addresses: []resolver.Address{
		{Addr: slow.Addr().String()}, {Addr: fast.Addr().String()},
	}})
	d := &dialer.Dialer{Meter: &metrics.Meter{}}
	if err := call(t, d, "two:///", grpc.WithResolvers(addrs)); err != nil {
		t.Fatal(err)
	}
	if err := <-lost; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the loser's server read %v, want a reset", err)
	}
	if err := d.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	s := d.Meter.Snapshot()
	if s.Ended[linger.Aborted] != 1 || s.Born != 2 || s.Balance() != nil {
		t.Errorf("%v (%v), want one connection aborted of two", s, s.Balance())
	}
}
