package dialer

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
)

// TestKernelTimeoutOfRedials: Net.Timeout bounds a dial as a whole, however many
// sources it goes through.
func TestKernelTimeoutOfRedials(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		const ports, sources = 10, 8
		// The name has two addresses: to the first there is no port from any
		// source, which the kernel says at once, and the other is silent.
		full := listen(t, "tcp6", "[::1]:8000")
		deaf := listen(t, "tcp4", "127.0.0.1:8000")
		lab.BlackHole(t, deaf.AddrPort)
		var list []netip.Addr
		for i := range sources {
			address := fmt.Sprintf("fd00::%d", i+1)
			ip(t, "add", address+"/128")
			list = append(list, netip.MustParseAddr(address))
			netlab.Eventually(t, 10*time.Second, "the kernel takes it for its own", func() bool { return isLocal(list[i]) == nil })
			if _, err := fill(t, &Dialer{Sources: list[i:]}, full.AddrPort, ports); err != nil {
				t.Fatal(err)
			}
		}
		const timeout = 2 * time.Second
		d := &Dialer{
			Sources: append(list, loopback),
			Net:     net.Dialer{Timeout: timeout, Resolver: resolverOf(loopback, netip.IPv6Loopback())},
		}
		began := time.Now()
		_, err := d.DialContext(t.Context(), "tcp", "both.test:8000")
		took := time.Since(began)
		if err == nil || took > timeout+time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		t.Logf("after %v: %v", took, err)
	}, netlab.PortRange(20000, 20009))
}
