package metrics

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lastack/lastack/linger"
)

func TestZeroMeter(t *testing.T) {
	var m Meter
	s := m.Snapshot()
	if err := s.Balance(); err != nil {
		t.Error(err)
	}
	if s.Ended == nil || s.Reasons == nil || len(s.WouldHave) != 2 || s.Hosts != nil {
		t.Errorf("the Snapshot of nothing is %+v", s)
	}
}

func TestHostCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Meter
		a, b := m.Host("a:1"), m.Host("b:1")
		if m.Host("a:1") != a {
			t.Fatal("the same name gave another Host")
		}
		a.Request()
		a.DialStart(AllBusy)
		a.DialDone(Dial{Total: time.Millisecond})
		b.DialStart(AllBusy)
		b.DialDone(Dial{Total: time.Second, Err: errors.New("refused")})
		b.DialStart(AllBusy)
		a.Wait()
		a.Retry()
		for range 3 {
			a.Lease(time.Now(), true)
		}
		a.Lease(time.Now(), false)
		for range 4 {
			a.Return(time.Now(), time.Time{})
		}
		time.Sleep(time.Second)
		s := m.Snapshot()
		if s.Requests != 1 || s.Leases != 4 || s.Reused != 3 || s.Dials != 3 || s.DialErrors != 1 || s.Dialing != 1 || s.Waits != 1 || s.Retries != 1 {
			t.Errorf("Snapshot = %+v", s)
		}
		if s.WouldHave[PerRequest] != 4 || s.WouldHave[NetHTTPDefault] != 2 {
			t.Errorf("would have left %v", s.WouldHave)
		}
		a.Rested(idleFor)
		time.Sleep(2 * time.Minute)
		if s = m.Snapshot(); s.WouldHave[NetHTTPDefault] != 4 {
			t.Errorf("after two minutes of rest: would have left %v", s.WouldHave)
		}
		if len(s.Hosts) != 2 || s.Hosts[0].Name != "a:1" || s.Hosts[0].Leases != 4 || s.Hosts[1].DialErrors != 1 {
			t.Errorf("Hosts = %+v", s.Hosts)
		}
	})
}

func TestMultiplexed(t *testing.T) {
	var m Meter
	h := m.Host("h2:443")
	h.Multiplexed()
	for range 10 {
		h.Lease(time.Now(), true)
	}
	for range 10 {
		h.Return(time.Now(), time.Time{})
	}
	s := m.Snapshot()
	if s.Leases != 10 || s.WouldHave[PerRequest] != 0 || s.WouldHave[NetHTTPDefault] != 0 {
		t.Errorf("%d leases, would have left %v; want 10 and nothing", s.Leases, s.WouldHave)
	}
}

func TestConnsFeedGhost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Meter
		burst := func(h *Host, leave string) {
			h.Rested(idleFor)
			for range 5 {
				h.Lease(time.Now(), true)
			}
			for range 5 {
				if leave != "" {
					h.Born(true).Leave(leave)
				}
				h.Return(time.Now(), time.Time{})
			}
		}
		burst(m.Host("keeps"), "")
		burst(m.Host("limits"), MaxRequests)
		burst(m.Host("closes"), ServerClose)
		for range 2 {
			m.Host("leaks").Leak("") // before the returns of two of five
		}
		burst(m.Host("leaks"), "")
		idle := m.Host("closes when idle")
		burst(idle, "")
		c := idle.Born(true)
		c.Rest()
		c.Leave(ServerClose)
		time.Sleep(time.Hour)
		s := m.Snapshot()
		for i, want := range []uint64{0, 3, 5, 3, 5} { // by name
			if got := s.Hosts[i].WouldHave[NetHTTPDefault]; got != want {
				t.Errorf("%s: would have left %d, want %d", s.Hosts[i].Name, got, want)
			}
		}
	})
}

func TestHostsAreBounded(t *testing.T) {
	var m Meter
	for i := range 2 * maxHosts {
		m.Host(fmt.Sprint(i)).Request()
	}
	s := m.Snapshot()
	if len(s.Hosts) != maxHosts+1 || s.Requests != 2*maxHosts {
		t.Errorf("%d hosts with %d requests", len(s.Hosts), s.Requests)
	}
	if n := m.Host("one more"); n != m.Host(overflowName) {
		t.Error("a host too many has a ledger of its own")
	}
}

func TestReasonsAreBounded(t *testing.T) {
	var m Meter
	for i := range 3 * maxReasons {
		c := m.Host("h").Born(true)
		c.Leave(fmt.Sprint(i))
		c.Ended(linger.PeerFirst, false)
	}
	s := m.Snapshot()
	if len(s.Reasons) != maxReasons+1 || s.Reasons[overflowName] != 2*maxReasons {
		t.Errorf("%d reasons, %d of them under %q", len(s.Reasons), s.Reasons[overflowName], overflowName)
	}
}

func TestSnapshotJSON(t *testing.T) {
	var m Meter
	c := m.Host("example.com:443").Born(false)
	c.Leave(IdleTimeout)
	c.Ended(linger.PeerFirst, true)
	b, err := json.Marshal(m.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"born":1`, `"hurried":1`, `"unmanaged":1`, `"ended":{"peer_first":1}`, `"reasons":{"idle_timeout":1}`,
		`"would_have":{"net_http_default":0,"per_request":0}`, `"hosts":[{"name":"example.com:443","requests":0`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
	if strings.Count(string(b), `"hosts"`) != 1 {
		t.Errorf("a host has hosts: %s", b)
	}
}

func TestBodies(t *testing.T) {
	var m Meter
	if s := m.Snapshot().String(); strings.Contains(s, "leaked") {
		t.Errorf("leaks are told of where there are none:\n%s", s)
	}
	for _, name := range []string{"a", "b"} {
		m.Host(name).Leak("")
		m.Host(name).Leak("")
		m.Host(name).Held("")
	}
	s := m.Snapshot()
	if s.Leaks != 4 || s.HeldBodies != 2 || s.Hosts[0].Leaks != 2 || s.Hosts[1].HeldBodies != 1 {
		t.Errorf("counted as %+v", s)
	}
	if want := "bodies:      4 leaked, 2 open for too long\n"; !strings.Contains(s.String(), want) {
		t.Errorf("no %q in:\n%s", want, s)
	}
	b, err := json.Marshal(s)
	if err != nil || !strings.Contains(string(b), `"leaks":4,"held_bodies":2`) {
		t.Errorf("marshals as %s, %v", b, err)
	}
}

func TestBalance(t *testing.T) {
	good := func() Snapshot {
		s := Snapshot{Born: 10, Resting: 1, Busy: 2, Leaving: 3, Ended: map[linger.Ending]uint64{linger.PeerFirst: 3, linger.Lost: 1}}
		s.Hosts = []HostSnapshot{{Name: "h:1", Snapshot: s}}
		return s
	}
	for _, tt := range []struct {
		name  string
		spoil func(*Snapshot)
		want  string // in the error
	}{
		{"good", func(*Snapshot) {}, ""},
		{"one lost", func(s *Snapshot) { s.Born++ }, "in all: 11 connections born, but 10"},
		{"one too many", func(s *Snapshot) { s.Resting++ }, "in all: 10 connections born, but 11"},
		{"below zero", func(s *Snapshot) { s.Busy, s.Resting = -1, 4 }, "less than none"},
		{"dialing below zero", func(s *Snapshot) { s.Dialing = -1 }, "less than none"},
		{"a host", func(s *Snapshot) { s.Hosts[0].Leaving-- }, "h:1: 10 connections born, but 9"},
	} {
		s := good()
		tt.spoil(&s)
		err := s.Balance()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Balance() = %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestConcurrency has many goroutines record whole lives in every order while
// another takes Snapshots, each of which must balance.
func TestConcurrency(t *testing.T) {
	var m Meter
	const workers, lives = 8, 400
	var wg, reader sync.WaitGroup
	stop := make(chan struct{})
	reader.Go(func() {
		for {
			if err := m.Snapshot().Balance(); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for w := range uint64(workers) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(w, 3))
			for range lives {
				h := m.Host(fmt.Sprint("host ", rng.IntN(5)))
				h.Request()
				h.DialStart(AllBusy)
				h.DialDone(Dial{Total: time.Millisecond})
				h.Lease(time.Now(), false)
				c := h.Born(true)
				var both sync.WaitGroup
				for range 2 {
					seed := rng.Uint64()
					both.Go(func() { anyCalls(c, rand.New(rand.NewPCG(seed, 4))) })
				}
				both.Wait()
				c.Ended(linger.FinReset, false)
				h.Return(time.Now(), time.Time{})
			}
		})
	}
	wg.Wait()
	close(stop)
	reader.Wait()

	s := m.Snapshot()
	if err := s.Balance(); err != nil {
		t.Error(err)
	}
	if s.Born != workers*lives || s.Busy+s.Resting+s.Leaving+s.Dialing != 0 {
		t.Errorf("at rest: %v", s)
	}
	var reasons uint64
	for _, n := range s.Reasons {
		reasons += n
	}
	if reasons != s.Born {
		t.Errorf("%d connections left for %d reasons", s.Born, reasons)
	}
	if s.WouldHave[PerRequest] != workers*lives {
		t.Errorf("per request: %d, want %d", s.WouldHave[PerRequest], workers*lives)
	}
}

func anyCalls(c *Conn, rng *rand.Rand) {
	for range 6 {
		switch rng.IntN(8) {
		case 0, 1:
			c.Rest()
		case 2, 3:
			c.Busy()
		case 4:
			c.Leave(IdleTimeout)
		case 5:
			c.Closing()
		case 6:
			c.TimeWait()
		case 7:
			c.Ended(linger.LocalFirst, rng.IntN(2) == 0)
		}
	}
}
