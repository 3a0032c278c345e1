package grpcpool

import (
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/lastack/lastack/internal/netlab"
)

// A gRPC server on net/http's HTTP/2 limits the streams by itself.
func TestHearNetHTTP(t *testing.T) {
	srv := grpc.NewServer()
	healthpb.RegisterHealthServer(srv, health.NewServer())
	https := httptest.NewUnstartedServer(srv)
	https.EnableHTTP2 = true
	https.StartTLS()
	defer https.Close()

	var a audience
	creds := credentials.NewTLS(https.Client().Transport.(*http.Transport).TLSClientConfig)
	cc, err := grpc.NewClient(https.Listener.Addr().String(), grpc.WithTransportCredentials(observing(creds, a.open)))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	if _, err := healthpb.NewHealthClient(cc).Check(t.Context(), new(healthpb.HealthCheckRequest)); err != nil {
		t.Fatal(err)
	}
	if got := a.heard(); !slices.Equal(got, []string{"settings 250"}) {
		t.Errorf("heard %q", got)
	}
}

// A channel that is ready has heard its limit.
func TestHearBeforeReady(t *testing.T) {
	addr := serveHealth(t, grpc.MaxConcurrentStreams(3))
	for range 20 {
		var a audience
		cc, err := grpc.NewClient(addr, grpc.WithTransportCredentials(observing(insecure.NewCredentials(), a.open)))
		if err != nil {
			t.Fatal(err)
		}
		cc.Connect()
		for s := cc.GetState(); s != connectivity.Ready; s = cc.GetState() {
			cc.WaitForStateChange(t.Context(), s)
		}
		if got := a.heard(); !slices.Equal(got, []string{"settings 3"}) {
			t.Errorf("ready, and heard %q", got)
		}
		cc.Close()
	}
}

// serveBytes has each connection sent what comes from the channel.
func serveBytes(t *testing.T, sent <-chan []byte) (addr string) {
	t.Helper()
	l := listen(t, "tcp", "127.0.0.1:0")
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { io.Copy(io.Discard, c) })
			wg.Go(func() {
				defer c.Close()
				for p := range sent {
					c.Write(p)
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

func TestHearLaterLimit(t *testing.T) {
	sent := make(chan []byte, 1)
	defer close(sent)
	addr := serveBytes(t, sent)
	var a audience
	cc, err := grpc.NewClient(addr, grpc.WithTransportCredentials(observing(insecure.NewCredentials(), a.open)))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	cc.Connect()
	var want []string
	for _, step := range []struct {
		sent  []byte
		heard string
	}{
		{settingsFrame(setting(idMaxStreams, 10)), "settings 10"},
		{pingFrame, ""},
		{settingsFrame(setting(idMaxStreams, 100)), "settings 100"},
		{settingsFrame(setting(4, 1<<20)), ""},
		{settingsFrame(setting(idMaxStreams, math.MaxUint32)), "settings 4294967295"},
		{goAwayFrame(0, "bye"), `goaway 0 "bye"`},
	} {
		sent <- step.sent
		if step.heard == "" {
			continue
		}
		want = append(want, step.heard)
		netlab.Eventually(t, time.Minute, step.heard, func() bool { return slices.Equal(a.heard(), want) })
	}
}

// The bytes of a server that does not speak HTTP/2 are left to grpc-go.
func TestHearGarbage(t *testing.T) {
	sent := make(chan []byte, 1)
	sent <- []byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
	defer close(sent)
	var a audience
	cc, err := grpc.NewClient(serveBytes(t, sent), grpc.WithTransportCredentials(observing(insecure.NewCredentials(), a.open)))
	if err != nil {
		t.Fatal(err)
	}
	cc.Connect()
	for s := cc.GetState(); s != connectivity.TransientFailure; s = cc.GetState() {
		cc.WaitForStateChange(t.Context(), s)
	}
	cc.Close()
	if got := a.heard(); len(got) > 0 {
		t.Errorf("heard %q", got)
	}
	if opened, closed := a.counts(); opened == 0 || opened != closed {
		t.Errorf("%d opened, %d closed", opened, closed)
	}
}

// A grpc-go server that is pinged too often says so.
func TestHearTooManyPings(t *testing.T) {
	addr := serveHealth(t, grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Hour}))
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var a audience
	c := observe(raw, raw, a.open)
	defer c.Close()
	c.Write(preface)
	c.Write(settingsFrame())
	for range 5 {
		c.Write(pingFrame)
	}
	c.SetReadDeadline(time.Now().Add(time.Minute))
	io.Copy(io.Discard, c)
	if got, want := a.heard(), []string{"settings 4294967295", `goaway 11 "too_many_pings"`}; !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

// What hearing holds for each connection is next to nothing beside its 25 KiB.
func TestObservedConnIsSmall(t *testing.T) {
	const most = 256
	if n := unsafe.Sizeof(observedConn{}) + unsafe.Sizeof(observedReady{}); n > most {
		t.Errorf("%d bytes for each connection, want %d at most", n, most)
	}
}
