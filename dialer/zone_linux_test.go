package dialer

import (
	"net/netip"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
)

// TestKernelZones: a connection has its source and its port, whichever way the
// zone of the address is written.
func TestKernelZones(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		ip(t, "add", "fe80::1/64")
		source := netip.MustParseAddr("fe80::1%lo")
		netlab.Eventually(t, 10*time.Second, "the kernel takes it for its own", func() bool { return isLocal(source) == nil })
		listen(t, "tcp6", "[::]:8000")
		for _, tt := range []struct {
			source  netip.Addr
			address string
		}{
			{source, "[fe80::1%lo]:8000"},
			{source, "[fe80::1%1]:8000"},
			{netip.IPv6Loopback(), "[::1%lo]:8000"},
		} {
			address := tt.address
			d := &Dialer{Sources: []netip.Addr{tt.source}, FixedPorts: fixedPorts}
			c, err := d.DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			n := 0
			for _, used := range d.sources.used {
				n += used
			}
			if n != 1 {
				t.Errorf("%s: %d uses of the source", address, n)
			}
		}
	}, fixedLab)
}
