package pool

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// A soakVerdict is what is to be said of the calls, once it is known when each
// host misbehaved. It is about our client; net/http's is counted beside it.
type soakVerdict struct {
	took map[int][]time.Duration // GETs to hosts that were well, by window

	// slow is the median of net/http's, where that is more than tooSlow: what a clock says is printed then, and not judged.
	slow time.Duration

	sent              [2]int64 // ours, net/http's
	failed            [2]int   // without the cancelled
	excused           [2]int   // of those, because the host misbehaved meanwhile
	notSafe           [2]int   // of the others, not idempotent
	once              [2]onceTally
	lost              []call // those of ours
	cancelled         int
	timeouts          [2][]string
	posts             int
	inexcusable       []call // idempotent, and should have succeeded
	stockInexcusable  int
	wrong, hung       []call
	overtime          []call // not judged, since the machine is slow
	doubled, vanished []call
	stockDoubled      int
}

// A onceTally is of the POSTs that may be sent once only, to hosts that were
// well: at [0] those that let connections rest, at [1] the restless ones.
type onceTally struct{ sent, failed [2]int }

func (o onceTally) String() string {
	return fmt.Sprintf("%d of %d at hosts that let connections rest, %d of %d at those that close them after %v",
		o.failed[0], o.sent[0], o.failed[1], o.sent[1], soakRest)
}

// tooSlow is how long half of net/http's own GETs may take, at hosts that are
// well, for the machine to be fit for a clock to judge ours.
const tooSlow = time.Second

// heedMachine notes how slow net/http was in the same run. A request that runs
// into its time on a machine that others keep busy is no hang.
func (v *soakVerdict) heedMachine(windows []*soakWindow) {
	var all []time.Duration
	for _, w := range windows {
		if w.client.port == soakStockPort {
			all = append(all, v.took[w.number]...)
		}
	}
	slices.Sort(all)
	if len(all) == 0 || all[len(all)/2] <= tooSlow {
		return
	}
	v.slow = all[len(all)/2]
	v.overtime = append(v.overtime, v.hung...)
	v.hung = nil
	v.inexcusable = slices.DeleteFunc(v.inexcusable, func(c call) bool {
		late := errors.Is(c.err, context.DeadlineExceeded)
		if late {
			v.overtime = append(v.overtime, c)
		}
		return late
	})
}

// judgeSoak judges all calls. A request counts as one that should have succeeded if its host was well all
// the time, and for as long as grace before it: what has gone wrong must have
// been seen.
func judgeSoak(s *soakCallers, r soakReport, grace time.Duration) soakVerdict {
	v := soakVerdict{took: map[int][]time.Duration{}}
	faults := func(host int, begin, end time.Time) (names []string) {
		for _, e := range r.Faulty[host] {
			if begin.Before(e.To.Add(grace)) && end.After(e.From) {
				names = append(names, e.Fault)
			}
		}
		return names
	}
	for _, all := range s.took {
		for _, l := range all {
			if faults(l.host, l.begin, l.begin.Add(l.took)) == nil {
				v.took[l.window] = append(v.took[l.window], l.took)
			}
		}
	}
	clients := map[*soakClient]bool{}
	for _, all := range s.calls {
		for _, c := range all {
			who := 0
			if c.client.port == soakStockPort {
				who = 1
			}
			if !clients[c.client] {
				clients[c.client] = true
				v.sent[who] += c.client.sent.Load()
			}
			var bad []string
			if c.err != nil || c.id >= 0 {
				bad = faults(c.host, c.begin, c.end)
			}
			if c.id >= 0 {
				v.post(c, who, r)
				if !c.idempotent && bad == nil && (c.err == nil || !c.cancelled) {
					v.once[who].sent[soakKind(c.host)]++
				}
			}
			if c.err != nil {
				v.failure(c, who, bad)
			}
			if c.end.Sub(c.begin) > soakTimeout+5*time.Second {
				v.hung = append(v.hung, c)
			}
		}
	}
	return v
}

// post judges a POST by how often the servers have begun on it.
func (v *soakVerdict) post(c call, who int, r soakReport) {
	times := 0
	if c.id < len(r.Posts) {
		times = int(r.Posts[c.id])
	}
	switch {
	case times > 1 && !c.idempotent && who == 1:
		v.stockDoubled++
	case times > 1 && !c.idempotent:
		v.doubled = append(v.doubled, c)
	case times == 0 && c.answered:
		v.vanished = append(v.vanished, c)
	}
	if who == 0 {
		v.posts++
	}
}

func (v *soakVerdict) failure(c call, who int, faults []string) {
	switch {
	case c.wrong && who == 0:
		v.wrong = append(v.wrong, c)
		return
	case c.cancelled:
		v.cancelled++
		return
	}
	v.failed[who]++
	if errors.Is(c.err, context.DeadlineExceeded) {
		v.timeouts[who] = append(v.timeouts[who], fmt.Sprintf("%v; the host: %s", &c, strings.Join(faults, ", ")))
	}
	switch {
	case faults != nil:
		v.excused[who]++
	case !c.idempotent:
		v.notSafe[who]++
		v.once[who].failed[soakKind(c.host)]++
		if who == 0 {
			v.lost = append(v.lost, c)
		}
	case who == 1:
		v.stockInexcusable++
	default:
		v.inexcusable = append(v.inexcusable, c)
	}
}

// complain fails the test for what must not have happened.
func (v soakVerdict) complain(t *testing.T) {
	t.Helper()
	for what, calls := range map[string][]call{
		"should have succeeded":            v.inexcusable,
		"was answered wrongly":             v.wrong,
		"took too long":                    v.hung,
		"was carried out more than once":   v.doubled,
		"was answered and not carried out": v.vanished,
	} {
		if len(calls) == 0 {
			continue
		}
		t.Errorf("%d calls: what %s", len(calls), what)
		for _, c := range calls[:min(len(calls), 10)] {
			t.Log(&c)
		}
	}
	ours, stock := v.once[0], v.once[1]
	for kind, allowed := range ours.allowed(stock) {
		if ours.failed[kind] <= allowed {
			continue
		}
		t.Errorf("%d POSTs failed at hosts that were well, want at most %d: %v; net/http: %v", ours.failed[kind], allowed, ours, stock)
		for _, c := range v.lost[:min(len(v.lost), 10)] {
			t.Log(&c)
		}
	}
	if v.sent[0] == 0 || v.posts == 0 || ours.sent[0] == 0 || ours.sent[1] == 0 {
		t.Error("nothing was sent")
	}
}

// allowed returns how many of the POSTs may have failed. Nobody may send them
// again, so that they show whether connections are lent that are fit for it.
//
// Nothing explains a failure at a host that lets connections rest, but for a
// packet that got lost at the end of a fault, as of a FIN that comes after the
// grace. One that closes them does so at any moment until its limit is learned,
// and its GOAWAY may find a body half sent that cannot be had again. What
// happens to net/http in the same run is allowed for besides.
func (o onceTally) allowed(stock onceTally) (n [2]int) {
	for kind, sent := range o.sent {
		share := []float64{0.001, 0.01}[kind] * float64(sent)
		n[kind] = max([]int{3, 10}[kind], int(share))
		if stock.sent[kind] > 0 {
			n[kind] += sent * stock.failed[kind] / stock.sent[kind]
		}
	}
	return n
}

func (v soakVerdict) String() string {
	line := func(who, inexcusable, doubled int) string {
		return fmt.Sprintf("%d requests, %d failed: %d while their host misbehaved, %d that are not idempotent, %d others (%d timeouts in all); %d POSTs doubled",
			v.sent[who], v.failed[who], v.excused[who], v.notSafe[who], inexcusable, len(v.timeouts[who]), doubled)
	}
	return fmt.Sprintf("ours: %s\nnet/http: %s\nPOSTs to be sent once, of hosts that were well, that failed: ours %v (at most %d are allowed); net/http %v\n%d were cancelled; %d POSTs of ours\ntimeouts:\n%s",
		line(0, len(v.inexcusable), len(v.doubled)), line(1, v.stockInexcusable, v.stockDoubled),
		v.once[0], v.once[0].allowed(v.once[1]), v.once[1], v.cancelled, v.posts, strings.Join(slices.Concat(v.timeouts[0], v.timeouts[1]), "\n"))
}

func netip4(port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.IPv4Unspecified(), port) }
