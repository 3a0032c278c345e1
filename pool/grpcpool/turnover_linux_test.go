package grpcpool

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/metrics"
)

// TestKernelTurnover: in a range of 1,000 ports each call has a channel of its
// own, one after the other, as fast as that goes. With grpc-go's dialer the range
// is used up after 1,000. With ours they go on, and leave nothing; a list of
// sources serves as well.
func TestKernelTurnover(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		const ports = 1000
		turns := 4 * ports
		if testing.Short() {
			turns = 2 * ports
		}
		if os.Getenv("CI") == "true" && !underRace {
			turns = 50 * ports // half a minute
		}
		l := listen(t, "tcp4", "127.0.0.1:8000")
		serve(t, l)
		addr := l.Addr().(*net.TCPAddr).AddrPort()

		m := new(metrics.Meter)
		d := newDialer()
		d.Meter = m
		began := time.Now()
		for i := range turns {
			if err := call(t, d, addr.String()); err != nil {
				t.Fatalf("call %d: %v", i+1, err)
			}
		}
		t.Logf("%d channels in %v", turns, time.Since(began).Round(time.Millisecond))
		wantNoTimeWait(t, lab, d, addr, turns)

		d = newDialer()
		d.Meter = new(metrics.Meter)
		d.Sources = []netip.Addr{netip.MustParseAddr("127.0.1.1"), netip.MustParseAddr("127.0.1.2")}
		for i := range 20 {
			if err := call(t, d, addr.String()); err != nil {
				t.Fatalf("call %d: %v", i+1, err)
			}
		}
		wantNoTimeWait(t, lab, d, addr, 20)

		made := 0
		var err error
		for ; err == nil && made < turns; made++ {
			err = stockCall(t, addr.String())
		}
		// Of a few the server's FIN comes first.
		if made--; made > 3*ports/2 || err == nil || !strings.Contains(err.Error(), "cannot assign requested address") {
			t.Errorf("grpc-go made %d channels, then %v; want about %d", made, err, ports)
		}
		t.Logf("grpc-go made %d channels, then: %v", made, err)
	}, netlab.PortRange(20000, 20999))
}

func wantNoTimeWait(t *testing.T, lab *netlab.Lab, d *dialer.Dialer, addr netip.AddrPort, turns int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := d.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	lab.Settle(t, addr, 10*time.Second)
	client, _ := lab.TimeWaits(t, addr)
	s := d.Meter.Snapshot()
	if client != 0 || s.TimeWaits != 0 || s.DialErrors != 0 || s.Born != uint64(turns) {
		t.Errorf("%d TIME_WAIT, we count %d; %d of %d dials failed", client, s.TimeWaits, s.DialErrors, s.Born)
	}
}

func stockCall(t *testing.T, target string) error {
	t.Helper()
	cc, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = healthpb.NewHealthClient(cc).Check(ctx, &healthpb.HealthCheckRequest{})
	return err
}
