package grpcpool

import (
	"net/netip"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// The endings that events tell of are those that the kernel has seen: a TIME_WAIT
// for each LocalFirst, and no other.
func TestKernelEvents(t *testing.T) {
	const conns = 50
	for _, c := range []struct {
		name   string
		policy linger.Policy
		leaves bool // TIME_WAITs: of most, as one that has unread bytes is reset
	}{
		{"policy=default", linger.Policy{}, false},
		{"policy=plain", linger.Policy{Fallback: linger.Plain}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			netlab.Run(t, func(lab *netlab.Lab) {
				addr := serveHealth(t)
				d := newDialer()
				d.Meter = new(metrics.Meter)
				d.Linger = &linger.Closer{Policy: c.policy}
				var log eventLog
				var ccs []*grpc.ClientConn
				calls := uint64(0)
				for i := range conns {
					cc := observed(t, addr, d, log.add)
					for range 1 + i%3 {
						checkHealth(t, cc)
						calls++
					}
					ccs = append(ccs, cc)
				}
				for _, cc := range ccs {
					cc.Close()
				}
				shutDown(t, d)
				localFirst, carried := 0, uint64(0)
				for _, e := range log.all() {
					carried += e.Calls
					if e.Ending == linger.LocalFirst {
						localFirst++
					}
				}
				server := netip.MustParseAddrPort(addr)
				lab.Settle(t, server, time.Minute)
				states := lab.States(t, server)
				t.Logf("%d connections, %d ended as LocalFirst; the kernel: %v", len(log.all()), localFirst, states.Client)
				if got := states.Client.TimeWaits(); localFirst != got || (got > 0) != c.leaves {
					t.Errorf("%d ended as LocalFirst, the kernel has %d TIME_WAITs, want some: %v", localFirst, got, c.leaves)
				}
				if n := len(log.all()); n != conns || carried != calls {
					t.Errorf("%d connections carried %d calls, want %d and %d", n, carried, conns, calls)
				}
				if s := d.Meter.Snapshot(); s.TimeWaits != uint64(localFirst) || s.Balance() != nil {
					t.Errorf("the Meter:\n%v", s)
				}
			})
		})
	}
}
