package dialer

import (
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/procfs"
)

func TestDiagnoseElsewhere(t *testing.T) {
	if runtime.GOOS == "linux" {
		t.Skip("this is Linux")
	}
	if _, err := Diagnose(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want errors.ErrUnsupported", err)
	}
}

// aged returns a route with as many TIME_WAITs of each age, in seconds, as perAge
// says.
func aged(perAge func(age int) int) *route {
	r := new(route)
	for age := range 60 {
		for range perAge(age) {
			r.timeWait(timeWaitLen-time.Duration(age)*time.Second-time.Millisecond, never)
		}
	}
	return r
}

func TestDiagnosisRate(t *testing.T) {
	for _, tt := range []struct {
		name      string
		perAge    func(age int) int
		free      int
		perSecond float64
		outIn     float64
	}{
		{"none", func(int) int { return 0 }, 0, 0, -1},
		{"steady, and it fits", func(int) int { return 100 }, 2000, 100, -1},
		{"steady, and nothing is left", func(int) int { return 100 }, 0, 100, 0},
		{"for half a minute, too fast", func(age int) int {
			if age < 30 {
				return 500
			}
			return 0
		}, 13000, 500, 26},
		{"for half a minute, just not too fast", func(age int) int {
			if age < 30 {
				return 500
			}
			return 0
		}, 16000, 500, -1},
		{"a burst just now", func(age int) int {
			if age == 0 {
				return 3000
			}
			return 0
		}, 20000, 100, -1},
		{"a burst that is over", func(age int) int {
			if age == 10 {
				return 3000
			}
			return 0
		}, 10, 0, -1},
	} {
		r := aged(tt.perAge)
		rate := r.perSecond()
		if rate != tt.perSecond {
			t.Errorf("%s: %v a second, want %v", tt.name, rate, tt.perSecond)
		}
		if got := r.outIn(tt.free, rate); got != tt.outIn {
			t.Errorf("%s: out in %v s, want %v", tt.name, got, tt.outIn)
		}
	}
}

func TestDiagnosisLendsAfter(t *testing.T) {
	far := pair{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddrPort("10.0.0.2:443")}
	near := pair{netip.MustParseAddr("::1"), netip.MustParseAddrPort("[::1]:443")}
	for _, tt := range []struct {
		values map[string]int64
		pair   pair
		want   time.Duration
	}{
		{map[string]int64{twReuse: 0, timestamps: 1}, near, never},
		{map[string]int64{twReuse: 1, timestamps: 1}, far, time.Second},
		{map[string]int64{twReuse: 1, timestamps: 1, twReuseDelay: 20}, far, 20 * time.Millisecond},
		{map[string]int64{twReuse: 1, timestamps: 0}, far, never},
		{map[string]int64{twReuse: 2, timestamps: 1}, far, never},
		{map[string]int64{twReuse: 2, timestamps: 1}, near, time.Second},
		{nil, far, never}, // nothing could be read
	} {
		d := diagnosis{system: system{values: tt.values}}
		if got := d.lendsAfter(tt.pair); got != tt.want {
			t.Errorf("%v, to %v: after %v, want %v", tt.values, tt.pair.to, got, tt.want)
		}
	}
}

// TestDiagnosisTightest: of many destinations those with the fewest ports left, in order.
func TestDiagnosisTightest(t *testing.T) {
	d := diagnosis{Report: Report{Ports: PortBudget{Usable: 1000}}}
	d.sockets.routes = make(map[pair]*route)
	from := netip.MustParseAddr("10.0.0.1")
	for i := range 600 {
		to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 443)
		d.sockets.newRoute(pair{from, to}).used = i * 7 % 600 // each number once
	}
	for _, n := range []int{50, 600, 700} {
		top := d.tightest(n)
		if len(top) != min(n, 600) {
			t.Fatalf("%d of %d", len(top), n)
		}
		for i, r := range top {
			if r.used != 599-i || r.from != from || d.sockets.routes[r.pair] != r {
				t.Fatalf("%d of %d: %d ports used, want %d", i, n, r.used, 599-i)
			}
		}
	}
}

// healthy is a machine with which nothing is wrong.
func healthy() *diagnosis {
	return &diagnosis{
		Report: Report{
			Ports:   PortBudget{Lo: 32768, Hi: 60999, Usable: 28232},
			Sockets: map[string]int{"established": 100, "time_wait": 1000},
			Holders: []Holder{{PID: 7, Name: "api", Connections: 100, Descriptors: 120, Limit: 1024, CloseWaits: 2, EndUnread: 2, OldestSeconds: 0.2}},
			Destinations: []Destination{{
				Source: netip.MustParseAddr("10.0.0.1"), Address: netip.MustParseAddrPort("10.0.0.2:443"),
				Used: 1100, Free: 27132, TimeWaits: 1000, OutInSeconds: -1, States: map[string]int{"established": 100, "time_wait": 1000},
			}},
		},
		system: system{
			version: procfs.Version{Major: 6, Minor: 12},
			values: map[string]int64{
				twReuse: 2, timestamps: 1, maxBuckets: 131072, finTimeout: 60,
				conntrackCount: 1000, conntrackMax: 262144, conntrackTimeWait: 120,
			},
			handles: 1000, maxHandles: 1 << 20,
		},
	}
}

func TestDiagnosisAdvice(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(d *diagnosis)
		code    string // empty: no advice
		urgent  bool
		says    string // in the matter
		advises string // in the first remedy
	}{
		{"healthy", func(*diagnosis) {}, "", false, "", ""},
		{"few ports left", func(d *diagnosis) {
			d.Destinations[0].Used, d.Destinations[0].Free, d.Destinations[0].TimeWaits = 28000, 232, 20000
		}, AdvicePorts, true, "232 of 28,232 ports are left for connections to 10.0.0.2:443 from 10.0.0.1", "pool.Transport"},
		{"few ports left, all in use", func(d *diagnosis) {
			d.Destinations[0].Used, d.Destinations[0].Free, d.Destinations[0].TimeWaits = 28000, 232, 0
		}, AdvicePorts, true, "232 of 28,232", "HTTP/2"},
		{"few ports left, most of them leaked", func(d *diagnosis) {
			d.Destinations[0].Used, d.Destinations[0].Free, d.Destinations[0].TimeWaits = 28000, 232, 100
			d.Destinations[0].States["close_wait"] = 20000
		}, AdvicePorts, true, "232 of 28,232", "CLOSE_WAIT"},
		{"few ports free, but they are lent again", func(d *diagnosis) {
			d.system.values[twReuse] = 1
			d.Destinations[0].Used, d.Destinations[0].Free, d.Destinations[0].Reusable = 14000, 232, 28000
		}, "", false, "", ""},
		{"at the present rate", func(d *diagnosis) {
			d.Destinations[0].TimeWaitsPerSecond, d.Destinations[0].OutInSeconds = 600, 25
		}, AdvicePorts, true, "At 600 more a second none is left in 25 s.", "pool.Transport"},
		{"none left", func(d *diagnosis) {
			d.Destinations[0].Used, d.Destinations[0].Free, d.Destinations[0].OutInSeconds = 28232, 0, 0
		}, AdvicePorts, true, "fails now: cannot assign requested address", ""},
		{"past the half", func(d *diagnosis) {
			d.Destinations[0].Used, d.Destinations[0].Free = 15000, 13232
		}, AdviceSlowConnect, false, "15,000 of 28,232", "IP_LOCAL_PORT_RANGE"},
		{"a leak", func(d *diagnosis) {
			d.Holders[0].CloseWaits, d.Holders[0].Stale, d.Holders[0].OldestSeconds = 50, 48, 300
		}, AdviceCloseWait, false, "Process 7 (api) holds 50 connections that the peer has closed (CLOSE_WAIT), 48 of them for five seconds or more, one for 300 s", "has read the end of 48 of them"},
		{"a leak of whom we may not look at", func(d *diagnosis) {
			d.Holders[0].PID, d.Holders[0].UID = 0, 33
			d.Holders[0].CloseWaits, d.Holders[0].Stale, d.Holders[0].EndUnread = 50, 48, 50
		}, AdviceCloseWait, false, "A process of user 33, which this one may not look at, holds 50", "not read to the end of 50 of them"},
		{"no descriptors", func(d *diagnosis) { d.Holders[0].Descriptors = 1000 }, AdviceDescriptors, true, "1,000 of 1,024 descriptors", "LimitNOFILE"},
		{"unknown limit", func(d *diagnosis) { d.Holders[0].Descriptors, d.Holders[0].Limit = 100000, 0 }, "", false, "", ""},
		{"no file handles", func(d *diagnosis) { d.system.handles = 1 << 20 }, AdviceFileHandles, true, "1,048,576 files open of 1,048,576", "fs.file-max"},
		{"no file handles that have a limit", func(d *diagnosis) { d.system.maxHandles = 1<<63 - 1 }, "", false, "", ""},
		{"firewall full", func(d *diagnosis) { d.system.values[conntrackCount] = 240000 }, AdviceConntrack, true, "240,000 connections and can of 262,144", "package pool"},
		{"TIME_WAITs full", func(d *diagnosis) { d.Sockets["time_wait"] = 131072 }, AdviceTimeWaitLimit, true, "131,072 TIME_WAITs, and no more than 131,072", "let the other side close first"},
		{"TIME_WAITs were left out", func(d *diagnosis) {
			d.system.counters = procfs.Counters{"TcpExtTCPTimeWaitOverflow": 12}
		}, AdviceTimeWaitLimit, false, "12 connections have ended without", "let the other side close first"},
		{"recycle on an old kernel", func(d *diagnosis) {
			d.system.version = procfs.Version{Major: 4, Minor: 9}
			d.system.values[twRecycle] = 1
		}, AdviceRecycle, false, "NAT", "tcp_tw_recycle=0"},
		{"recycle off on an old kernel", func(d *diagnosis) { d.system.values[twRecycle] = 0 }, "", false, "", ""},
		{"no timestamps", func(d *diagnosis) { d.system.values[timestamps] = 0 }, AdviceTimestamps, false, "is off", "tcp_timestamps=1"},
		{"nothing could be read", func(d *diagnosis) { *d = diagnosis{} }, "", false, "", ""},
	} {
		d := healthy()
		tt.change(d)
		d.advise()
		if tt.code == "" {
			if len(d.Advice) != 0 || d.RunningOut() {
				t.Errorf("%s: advice %+v", tt.name, d.Advice)
			}
			continue
		}
		if len(d.Advice) != 1 || d.Advice[0].Code != tt.code || d.Advice[0].Urgent != tt.urgent || d.RunningOut() != tt.urgent {
			t.Errorf("%s: advice %+v, want %s", tt.name, d.Advice, tt.code)
			continue
		}
		a := d.Advice[0]
		if !strings.Contains(a.Matter, tt.says) {
			t.Errorf("%s: no %q in %q", tt.name, tt.says, a.Matter)
		}
		if len(a.Remedies) == 0 || !strings.Contains(a.Remedies[0].Do, tt.advises) {
			t.Errorf("%s: the first of %+v does not say %q", tt.name, a.Remedies, tt.advises)
		}
		for _, r := range a.Remedies {
			if r.Do == "" || r.Gain == "" {
				t.Errorf("%s: remedy %+v", tt.name, r)
			}
			if strings.Contains(r.Do, finTimeout) || strings.Contains(r.Do, "SO_REUSEADDR") {
				t.Errorf("%s: folklore: %q", tt.name, r.Do)
			}
		}
	}
}

// TestDiagnosisAdviceOnCauses: the larger first, and none that would not change much.
func TestDiagnosisAdviceOnCauses(t *testing.T) {
	for _, tt := range []struct {
		waits, leaked, live int
		want                []string // in the remedies, in order
	}{
		{28000, 0, 0, []string{"let the other side close first"}},
		{15000, 0, 13000, []string{"let the other side close first", "HTTP/2"}},
		{13000, 0, 15000, []string{"HTTP/2", "let the other side close first"}},
		{27000, 500, 500, []string{"let the other side close first"}},
		{9000, 10000, 9000, []string{"CLOSE_WAIT", "let the other side close first", "HTTP/2"}},
	} {
		d := healthy()
		dst := &d.Destinations[0]
		dst.Used, dst.TimeWaits, dst.Free = tt.waits+tt.leaked+tt.live, tt.waits, 232
		dst.States = map[string]int{"close_wait": tt.leaked}
		d.advise()
		var got []string
		for _, r := range d.Advice[0].Remedies {
			for _, words := range []string{"let the other side close first", "CLOSE_WAIT", "HTTP/2"} {
				if strings.Contains(r.Do, words) {
					got = append(got, words)
				}
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%d TIME_WAITs, %d leaked, %d live: %q, want %q", tt.waits, tt.leaked, tt.live, got, tt.want)
		}
	}
}

// TestDiagnosisAdviceOnReuse: tcp_tw_reuse is advised where it does something.
func TestDiagnosisAdviceOnReuse(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(d *diagnosis)
		want   string // in the remedy; empty: there is none
	}{
		{"default", func(*diagnosis) {}, "Set net.ipv4.tcp_tw_reuse=1:"},
		{"off", func(d *diagnosis) { d.system.values[twReuse] = 0 }, "Set net.ipv4.tcp_tw_reuse=1:"},
		{"on", func(d *diagnosis) { d.system.values[twReuse] = 1 }, ""},
		{"loopback, where it is on by default", func(d *diagnosis) { d.Destinations[0].Source = netip.MustParseAddr("127.0.0.1") }, ""},
		{"no timestamps", func(d *diagnosis) { d.system.values[timestamps] = 0 }, "Set net.ipv4.tcp_timestamps=1 at both ends, and net.ipv4.tcp_tw_reuse=1 here"},
		{"nothing in TIME_WAIT", func(d *diagnosis) { d.Destinations[0].TimeWaits = 0 }, ""},
	} {
		d := healthy()
		d.Destinations[0].Used, d.Destinations[0].Free = 28000, 232
		tt.change(d)
		d.advise()
		i := slices.IndexFunc(d.Advice[0].Remedies, func(r Remedy) bool { return strings.Contains(r.Do, twReuse) })
		switch {
		case tt.want == "" && i >= 0:
			t.Errorf("%s: %+v", tt.name, d.Advice[0].Remedies[i])
		case tt.want != "" && (i < 0 || !strings.HasPrefix(d.Advice[0].Remedies[i].Do, tt.want)):
			t.Errorf("%s: %+v", tt.name, d.Advice[0].Remedies)
		}
	}
}

// TestDiagnosisAdviceOrder: what is urgent first, and the destinations before the rest.
func TestDiagnosisAdviceOrder(t *testing.T) {
	d := healthy()
	d.Destinations = slices.Repeat(d.Destinations, 20)
	for i := range d.Destinations {
		d.Destinations[i].Used, d.Destinations[i].Free = 28232-i, i
	}
	d.Holders[0].Stale, d.Holders[0].CloseWaits = 10, 10
	d.system.handles = d.system.maxHandles
	d.system.values[timestamps] = 0
	d.advise()
	var codes []string
	for _, a := range d.Advice {
		codes = append(codes, a.Code)
	}
	want := append(slices.Repeat([]string{AdvicePorts}, maxPortAdvice), AdviceFileHandles, AdviceCloseWait, AdviceTimestamps)
	if !slices.Equal(codes, want) {
		t.Errorf("%v, want %v", codes, want)
	}
}
