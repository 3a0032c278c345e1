package table

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/lastack/lastack/metrics"
)

func TestDestinationOf(t *testing.T) {
	for host, want := range map[string]Destination{
		"example.com:443":               {"example.com", "443"},
		"[2001:db8::1]:80":              {"2001:db8::1", "80"},
		"192.0.2.1:65535":               {"192.0.2.1", "65535"},
		"dns:///example.com:443":        {"example.com", "443"},
		"dns://192.0.2.53/example.com:": {Address: "dns://192.0.2.53/example.com:"},
		"dns:example.com:443":           {"example.com", "443"},
		"passthrough:///10.0.0.1:50051": {"10.0.0.1", "50051"},
		"unix:///run/a.sock":            {Address: "unix:///run/a.sock"},
		"example.com":                   {Address: "example.com"},
		"example.com:https":             {Address: "example.com:https"},
		"example.com:0443":              {Address: "example.com:0443"},
		"example.com:65536":             {Address: "example.com:65536"},
		":443":                          {Address: ":443"},
		"":                              {},
		"_other":                        Other,
		"bad\xff:1":                     {"bad\uFFFD", "1"},
	} {
		if got := DestinationOf(host); got != want {
			t.Errorf("%q is %q, want %q", host, got, want)
		}
	}
}

func FuzzDestinationOf(f *testing.F) {
	f.Add("example.com:443")
	f.Add("dns:///[::1]:80")
	f.Fuzz(func(t *testing.T, host string) {
		d := DestinationOf(host)
		if !utf8.ValidString(d.Address) {
			t.Errorf("%q: address %q is no label", host, d.Address)
		}
		if d.Port != "" {
			if n, err := strconv.Atoi(d.Port); err != nil || n < 0 || n > 65535 {
				t.Errorf("%q: port %q", host, d.Port)
			}
		}
	})
}

func hosts(requests ...uint64) []metrics.HostSnapshot {
	all := make([]metrics.HostSnapshot, len(requests))
	for i, n := range requests {
		all[i] = metrics.HostSnapshot{Name: fmt.Sprintf("h%d:1", i), Snapshot: metrics.Snapshot{Requests: n}}
	}
	return all
}

func names(groups []Group) []string {
	var names []string
	for _, g := range groups {
		names = append(names, fmt.Sprintf("%s/%d", g.Address, len(g.Hosts)))
	}
	return names
}

func TestLimit(t *testing.T) {
	for limit, want := range map[int]string{
		0:  "[h0/1 h1/1 h2/1 h3/1 h4/1]",
		2:  "[_other/3 h1/1 h4/1]",
		-1: "[_other/5]",
	} {
		l := Limit{Max: limit}
		if got := fmt.Sprint(names(l.Groups(hosts(1, 7, 3, 0, 9)))); got != want {
			t.Errorf("limit %d: %s, want %s", limit, got, want)
		}
	}
}

// A host that gets busier does not push another out: the counters of both, and
// those of the others, would fall.
func TestLimitKeeps(t *testing.T) {
	l := Limit{Max: 2}
	l.Groups(hosts(5, 4, 3))
	for _, requests := range [][]uint64{{5, 4, 100}, {5, 4, 100, 200}, {0, 0, 0, 0}} {
		groups := l.Groups(hosts(requests...))
		if groups[0].Address != "h0" || groups[1].Address != "h1" || groups[2].Destination != Other || len(groups) != 3 {
			t.Errorf("requests %v: %v", requests, names(groups))
		}
	}
	if d := l.Admit("h0:1"); d != (Destination{"h0", "1"}) {
		t.Errorf("admitted as %v", d)
	}
	if d := l.Admit("new:1"); d != Other {
		t.Errorf("a host beyond the limit is %v", d)
	}
}

// Hosts whose names say the same are one, else Prometheus would refuse all.
func TestSameDestination(t *testing.T) {
	var l Limit
	all := hosts(1, 2)
	all[1].Name = "dns:///" + all[0].Name
	groups := l.Groups(all)
	if len(groups) != 1 || len(groups[0].Hosts) != 2 {
		t.Fatalf("groups %v", names(groups))
	}
	Lookup("lastack.requests").Numbers(&groups[0], func(_ string, n float64) {
		if n != 3 {
			t.Errorf("sum %v, want 3", n)
		}
	})
}

func TestLimitConcurrently(t *testing.T) {
	l := Limit{Max: 10}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 50 {
				l.Admit(fmt.Sprintf("h%d:1", n*(i+1)))
				l.Groups(hosts(1, 2, 3))
			}
		})
	}
	wg.Wait()
	if len(l.known) != 10 {
		t.Errorf("%d hosts told apart, want 10", len(l.known))
	}
}
