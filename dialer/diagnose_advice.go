package dialer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxPortAdvice is about how many destinations there is advice.
const maxPortAdvice = 5

// advise says what is the matter. Each kind is looked for in the order of its
// worth to whoever reads that; what is urgent comes before what is not.
func (d *diagnosis) advise() {
	d.advisePorts()
	d.adviseBound()
	d.adviseHolders()
	d.adviseTables()
	d.adviseSwitches()
	slices.SortStableFunc(d.Advice, func(a, b Advice) int {
		return cmp.Compare(rank(a.Urgent), rank(b.Urgent))
	})
}

func rank(urgent bool) int {
	if urgent {
		return 0
	}
	return 1
}

// advisePorts is about the destinations with the fewest ports left, which are
// first already.
func (d *diagnosis) advisePorts() {
	n := 0
	for _, dst := range d.Destinations {
		if n == maxPortAdvice {
			return
		}
		a := Advice{Source: dst.Source, Destination: dst.Address}
		switch {
		case d.short(dst):
			a.Code, a.Urgent = AdvicePorts, true
			a.Matter = d.shortage(dst)
			a.Remedies = d.roomFor(dst)
		case 2*dst.Used > d.Ports.Usable:
			a.Code = AdviceSlowConnect
			a.Matter = fmt.Sprintf("%s of %s ports are taken for %s: past the half of them the kernel's search for a free one gets slow, and connect with it, in programs that do not set IP_LOCAL_PORT_RANGE.",
				comma(dst.Used), comma(d.Ports.Usable), dst.way())
			if 10*dst.Free < d.Ports.Usable {
				// It relies on what the kernel does not tell of a TIME_WAIT.
				a.Matter += fmt.Sprintf(" %s are free; %s in TIME_WAIT are lent again, but only if the other side has TCP timestamps too. If it has not, connections fail: cannot assign requested address.",
					comma(dst.Free), comma(dst.Reusable))
			}
			a.Remedies = append(d.withoutCliff(), d.roomFor(dst)...)
		default:
			continue
		}
		d.Advice = append(d.Advice, a)
		n++
	}
}

// short reports whether the ports for a destination are about to run out. See
// Report.RunningOut.
func (d *diagnosis) short(dst Destination) bool {
	return 10*dst.Left() < d.Ports.Usable || dst.OutInSeconds >= 0
}

func (d Destination) way() string { return d.Address.String() + " from " + d.Source.String() }

func (d *diagnosis) shortage(dst Destination) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s ports are left for connections to %s.", comma(dst.Left()), comma(d.Ports.Usable), dst.way())
	if dst.TimeWaits > 0 {
		fmt.Fprintf(&b, " %s are in TIME_WAIT: the next comes free in %.1f s, half of them in %.0f s, all in %.0f s.",
			comma(dst.TimeWaits), dst.NextFreeSeconds, dst.HalfFreeSeconds, dst.AllFreeSeconds)
	}
	switch {
	case dst.OutInSeconds == 0:
		b.WriteString(" A new connection fails now: cannot assign requested address.")
	case dst.OutInSeconds > 0:
		fmt.Fprintf(&b, " At %.0f more a second none is left in %.0f s.", dst.TimeWaitsPerSecond, dst.OutInSeconds)
	}
	return b.String()
}

// roomFor is what makes or saves ports for a destination: first what ends the
// causes, the largest first, then what gives them room.
func (d *diagnosis) roomFor(dst Destination) []Remedy {
	var list []Remedy
	for _, c := range causesOf(dst) {
		if c.ports > 0 && 10*c.ports >= dst.Used { // else it would not change much
			list = append(list, c.Remedy)
		}
	}
	add := func(gain, do string, args ...any) {
		list = append(list, Remedy{Do: fmt.Sprintf(do, args...), Gain: gain})
	}
	if n := dst.TimeWaits; n > 0 && d.lendsAfter(pair{dst.Source, dst.Address}) == never {
		if d.system.values[timestamps] == 0 {
			add("up to "+ports(n), "Set %s=1 at both ends, and %s=1 here: a port is then lent again after a second in TIME_WAIT. One without the other does nothing.", timestamps, twReuse)
		} else {
			add("up to "+ports(n), "Set %s=1: a port is then lent again after a second in TIME_WAIT if the connection had timestamps. It is safe for the side that connects.", twReuse)
		}
	}
	add(ports(d.Ports.Usable)+" for each", "Connect from more source addresses (Dialer.Sources), or to more addresses or ports of the destination.")
	if wide := widest - d.Ports.Reserved - d.Ports.Listening; wide > d.Ports.Usable {
		add(ports(wide-d.Ports.Usable)+" for every destination",
			"Widen net.ipv4.ip_local_port_range to 1024 65535, with the ports on which servers listen in net.ipv4.ip_local_reserved_ports.")
	}
	if 2*d.Ports.Reserved > d.Ports.Usable {
		add("up to "+ports(d.Ports.Reserved)+" for every destination", "Reserve fewer ports of the range (net.ipv4.ip_local_reserved_ports).")
	}
	return list
}

// A cause takes up ports.
type cause struct {
	ports int
	Remedy
}

// causesOf returns the three causes, the largest first.
func causesOf(dst Destination) []cause {
	leaked := dst.States["close_wait"]
	live := dst.Used - dst.TimeWaits - leaked
	causes := []cause{
		{dst.TimeWaits, Remedy{
			"Keep connections and use them again, and let the other side close first: a pool.Transport as the client's transport, or grpcpool, does both.",
			ports(dst.TimeWaits) + ", and no more go that way: each TIME_WAIT is a connection that was closed here first",
		}},
		{leaked, Remedy{
			fmt.Sprintf("Close the connections that %v has closed (CLOSE_WAIT): see which process holds them.", dst.Address),
			ports(leaked),
		}},
		{live, Remedy{
			"Send more over each connection (HTTP/2, gRPC), or bound how many there are (pool.Transport.MaxConnsPerHost).",
			"most of " + ports(live),
		}},
	}
	slices.SortStableFunc(causes, func(a, b cause) int { return cmp.Compare(b.ports, a.ports) })
	return causes
}

// widest is how many ports an ordinary program may use.
const widest = 65535 - 1024 + 1

// withoutCliff is what keeps connect fast.
func (d *diagnosis) withoutCliff() []Remedy {
	r := Remedy{
		Do:   "Dial with a dialer.Dialer, or another that sets IP_LOCAL_PORT_RANGE: the kernel then tries every port in turn, rather than all the even ones first.",
		Gain: "connect takes a tenth of the time that it takes now",
	}
	if !d.system.version.AtLeast(6, 8) {
		r.Do += " That takes Linux 6.8."
	}
	return []Remedy{r}
}

func ports(n int) string {
	if n == 1 {
		return "1 port"
	}
	return comma(n) + " ports"
}
