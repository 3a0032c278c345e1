package table

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/lastack/lastack/metrics"
)

// A Destination is a host as the labels name it. Port is "" where the name of
// the host has none.
type Destination struct{ Address, Port string }

// Other takes the hosts beyond a [Limit].
var Other = Destination{Address: "_other"}

// DestinationOf reads the name of a host of a Meter: "example.com:443", or a
// target of gRPC, such as "dns:///example.com:443".
func DestinationOf(host string) Destination {
	host = strings.ToValidUTF8(host, "\uFFFD") // what labels must be
	name := host[strings.LastIndexByte(host, '/')+1:]
	name = strings.TrimPrefix(strings.TrimPrefix(name, "dns:"), "passthrough:")
	address, port, err := net.SplitHostPort(name)
	if err != nil || address == "" {
		return Destination{Address: host}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return Destination{Address: host} // a port by name, or none
	}
	return Destination{Address: address, Port: port}
}

// DefaultLimit is how many hosts exporters tell apart.
const DefaultLimit = 100

// A Limit bounds the hosts that an exporter tells apart. A host that it has
// told apart stays so, and one that was counted with the others does too:
// otherwise their counters would fall. It may be used by several goroutines at
// a time.
type Limit struct {
	Max int // 0: DefaultLimit; negative: none is told apart

	mu    sync.Mutex
	known map[Destination]bool
	seen  map[string]Destination // what Admit said; a Meter has a bounded number of names
}

// Admit returns the destination under which a host is exported: its own, if
// it is among the first.
func (l *Limit) Admit(host string) Destination {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.admit(host)
}

func (l *Limit) admit(host string) Destination {
	d, ok := l.seen[host]
	if ok {
		return d
	}
	d = DestinationOf(host)
	if d != Other && !l.known[d] {
		if len(l.known) < cmp.Or(l.Max, DefaultLimit) {
			if l.known == nil {
				l.known = make(map[Destination]bool)
			}
			l.known[d] = true
		} else {
			d = Other
		}
	}
	if l.seen == nil {
		l.seen = make(map[string]Destination)
	}
	l.seen[host] = d
	return d
}

// A Group is the hosts that one destination stands for: most often one.
type Group struct {
	Destination
	Hosts []*metrics.HostSnapshot
}

// Groups sorts hosts by destination. Those that have not been seen before are
// admitted with the busiest first. The groups' order is that of the hosts.
func (l *Limit) Groups(hosts []metrics.HostSnapshot) []Group {
	l.mu.Lock()
	defer l.mu.Unlock()
	var newcomers []*metrics.HostSnapshot
	for i := range hosts {
		if _, ok := l.seen[hosts[i].Name]; !ok {
			newcomers = append(newcomers, &hosts[i])
		}
	}
	slices.SortStableFunc(newcomers, func(a, b *metrics.HostSnapshot) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(b.Born, a.Born))
	})
	for _, h := range newcomers {
		l.admit(h.Name)
	}

	groups := make([]Group, 0, min(len(hosts), len(l.known)+1))
	room := make([]*metrics.HostSnapshot, len(hosts)) // for the first of each group
	at := make(map[Destination]int, cap(groups))
	for i := range hosts {
		d := l.seen[hosts[i].Name]
		n, ok := at[d]
		if !ok {
			n = len(groups)
			at[d] = n
			groups = append(groups, Group{Destination: d, Hosts: room[i : i : i+1]})
		}
		groups[n].Hosts = append(groups[n].Hosts, &hosts[i])
	}
	return groups
}
