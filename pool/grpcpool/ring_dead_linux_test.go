package grpcpool

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/sockdiag"
)

// gone is how long after a channel has given up its connection the port may
// still be held.
const gone = time.Second

// A burial is what happens to the connections of one stage behind a black hole.
type burial struct {
	name    string
	s       *stage
	noticed time.Duration // until the last channel gave its connection up
	left    int           // sockets at that moment
	held    time.Duration // until the last of them had gone, from then
	still   int           // sockets that had not when we stopped looking
}

// TestKernelBlackHole: the network is gone, and the channels find out by their
// keepalive, or by TCP_USER_TIMEOUT when a call is under way. From then on no
// socket of theirs is left in any state.
func TestKernelBlackHole(t *testing.T) {
	t.Run("keepalive", func(t *testing.T) { blackHole(t, false, "stock", disguised, "ours", unset) })
	t.Run("user timeout", func(t *testing.T) { blackHole(t, true, "stock", "ours") })
}

func blackHole(t *testing.T, calling bool, parties ...string) {
	t.Parallel()
	ring(t, func(lab *netlab.Lab) {
		var all []*burial
		for _, proto := range protos {
			for _, who := range parties {
				b := &burial{name: who + "/" + proto, s: blackHoleStage(t, lab, proto, who)}
				b.s.open()
				all = append(all, b)
			}
		}
		for _, b := range all {
			lab.BlackHole(t, netip.MustParseAddrPort(b.s.target()))
		}
		var wg sync.WaitGroup
		for _, b := range all {
			wg.Go(func() { b.watch(calling) })
		}
		wg.Wait()
		for _, b := range all {
			t.Logf("%s: noticed after %v; then %d sockets were left for %v, %d of them for longer", b.name,
				b.noticed.Round(10*time.Millisecond), b.left, b.held.Round(time.Millisecond), b.still)
			b.s.close()
			if who, _, _ := strings.Cut(b.name, "/"); who == disguised && b.still == 0 {
				t.Errorf("%s: nothing was left, so there was no black hole", b.name)
			}
			if b.s.ours {
				if b.still != 0 {
					t.Errorf("%s: %d sockets are left", b.name, b.still)
				}
				b.s.judge()
			}
		}
	})
}

// disguised is stock grpc-go with a dialer whose connections are no bare
// *net.TCPConn.
const disguised = "stock, wrapped"

// unset is ours with a TCP_USER_TIMEOUT that is far longer than the keepalive's
// Timeout: nothing but the abort of what is not acknowledged frees the port.
const unset = "ours, UserTimeout unset"

// blackHoleStage has channels with the fastest keepalive that grpc-go allows.
func blackHoleStage(t *testing.T, lab *netlab.Lab, proto, who string) *stage {
	s := newStage(t, lab, proto, strings.HasPrefix(who, "ours"))
	grpcServer(grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}))(s)
	s.opts = append(s.opts, grpc.WithKeepaliveParams(keepalive.ClientParameters{
		Time: 10 * time.Second, Timeout: time.Second, PermitWithoutStream: true,
	}))
	switch who {
	case "ours":
		s.d.UserTimeout = time.Second
	case disguised:
		s.opts = append(s.opts, grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err != nil {
				return nil, err
			}
			return struct{ net.Conn }{c}, nil
		}))
	}
	return s
}

// watch waits until every channel has given its connection up, and then until
// the kernel has.
func (b *burial) watch(calling bool) {
	s := b.s
	ctx, cancel := context.WithTimeout(s.t.Context(), 60*time.Second)
	defer cancel()
	began := time.Now()
	var wg sync.WaitGroup
	for _, cc := range s.ccs {
		if calling {
			wg.Go(func() {
				if _, err := testgrpc.NewTestServiceClient(cc).EmptyCall(ctx, &testgrpc.Empty{}); err == nil {
					s.t.Errorf("%s: an answer came through the black hole", b.name)
				}
			})
		}
		wg.Go(func() {
			if cc.GetState() == connectivity.Ready && !cc.WaitForStateChange(ctx, connectivity.Ready) {
				s.t.Errorf("%s: a channel did not notice", b.name)
			}
		})
	}
	wg.Wait()
	b.noticed = time.Since(began)

	sockets := func() (n int) {
		for state, k := range s.lab.States(s.t, s.addr).Client.By {
			if state != sockdiag.SynSent { // another connection, for a call that came late
				n += k
			}
		}
		return n
	}
	b.left = sockets()
	b.still = b.left
	noticed := time.Now()
	for tick := range time.Tick(5 * time.Millisecond) {
		if b.still = sockets(); b.still == 0 || tick.Sub(noticed) > gone {
			break
		}
	}
	b.held = time.Since(noticed)
}
