package dialer

import (
	"fmt"
	"net/netip"

	"github.com/lastack/lastack/internal/sockdiag"
)

// A boundSource is an address at which ports are bound before connect, as it
// seems: it does so by each port serving one connection only.
type boundSource struct {
	addr netip.Addr
	used int
}

// readBound looks for addresses whose ports are nearly all taken, but not for one
// destination: then it depends on how they were taken whether others can have
// them. The kernel does not tell. But a port that connect has chosen is chosen
// again for the next destination, so that many are there twice.
func (d *diagnosis) readBound(each func(func(sockdiag.Socket)) error) error {
	type sum struct{ all, most int }
	sums := make(map[netip.Addr]sum)
	for p, r := range d.sockets.routes {
		s := sums[p.from]
		sums[p.from] = sum{s.all + r.used, max(s.most, r.used)}
	}
	usable := d.Ports.Usable
	seen := make(map[netip.Addr]*[1 << 16]bool)
	for from, s := range sums {
		// With few to other destinations than one it could be chance.
		if nearlyFull(int64(s.all), int64(usable)) && s.all <= usable && 10*(s.all-s.most) >= usable {
			seen[from] = new([1 << 16]bool)
		}
	}
	if len(seen) == 0 {
		return nil
	}
	twice := make(map[netip.Addr]int)
	err := each(func(k sockdiag.Socket) {
		ports, port := seen[k.Local.Addr()], k.Local.Port()
		if ports == nil || !d.counts(port) || k.Remote.Port() == 0 {
			return
		}
		if ports[port] {
			twice[k.Local.Addr()]++
		}
		ports[port] = true
	})
	for from := range seen {
		// The kernel may show a socket twice that changes meanwhile.
		if n := sums[from].all; 100*twice[from] <= n {
			d.sockets.bound = append(d.sockets.bound, boundSource{from, n})
		}
	}
	return err
}

// adviseBound is about those addresses.
func (d *diagnosis) adviseBound() {
	for _, b := range d.sockets.bound {
		d.Advice = append(d.Advice, Advice{
			Code: AdviceBoundPorts, Urgent: true, Source: b.addr,
			Matter: fmt.Sprintf("%s of %s ports are taken at %v, and each serves one connection only, whatever the destination: they look bound before connect, without IP_BIND_ADDRESS_NO_PORT. Then no other connection gets one of them, and %s are left for all destinations together.",
				comma(b.used), comma(d.Ports.Usable), b.addr, comma(d.Ports.Usable-b.used)),
			Remedies: []Remedy{
				{"Set IP_BIND_ADDRESS_NO_PORT before binding to an address without a port, as dialer.Dialer does for Sources and Net.LocalAddr, or leave the address to the system.", ports(d.Ports.Usable) + " for each destination"},
				{"Keep connections and use them again, and let the other side close first (package pool).", "the ports of those that need not be made"},
			},
		})
	}
}
