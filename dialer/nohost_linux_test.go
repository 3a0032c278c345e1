package dialer

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/lastack/lastack/internal/netlab"
)

// TestKernelNoHost: an address of no host is this host, as for net.Dialer, and
// its connections have their sources and ports as any.
func TestKernelNoHost(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		six := netip.IPv6Loopback()
		for i, tt := range []struct{ network, address string }{
			{"tcp", ":8000"}, {"tcp4", ":8001"}, {"tcp6", ":8002"},
			{"tcp4", "0.0.0.0:8003"}, {"tcp6", "[::]:8004"},
		} {
			t.Run(tt.network+tt.address, func(t *testing.T) {
				here := loopback
				if tt.network == "tcp6" {
					here = six
				}
				to := netip.AddrPortFrom(here, uint16(8000+i))
				listen(t, "tcp", to.String())
				fixed := PortRange{10000, 10002}
				dial := func(d *Dialer) (net.Conn, error) { return d.DialContext(t.Context(), tt.network, tt.address) }
				hold := func(d *Dialer) {
					c, err := dial(d)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { c.Close() })
				}

				sourced := &Dialer{Sources: []netip.Addr{here}, Ports: PortRange{20000, 20009}} // not those of narrow
				hold(sourced)
				if n := sourced.sources.used[use{here, to}]; n != 1 {
					t.Errorf("%d uses of the source: %v", n, sourced.sources.used)
				}

				own := &Dialer{FixedPorts: fixed}
				for range fixed.Len() {
					hold(own)
				}
				counting = counter{count: count} // without a pause
				_, err := dial(own)
				if e, ok := errors.AsType[*Error](err); !ok || e.Destination != to || e.States["established"] != fixed.Len() || e.Other != 0 {
					t.Errorf("with fixed ports: %v", err)
				}

				narrow := &Dialer{Ports: PortRange{20500, 20502}}
				for range narrow.Ports.Len() {
					hold(narrow)
				}
				counting = counter{count: count}
				_, err = dial(narrow)
				if e, ok := errors.AsType[*Error](err); !ok || e.Destination != to || e.States["established"] != narrow.Ports.Len() || e.Other != 0 {
					t.Errorf("without a port: %v", err)
				}
			})
		}
	}, fixedLab)
}
