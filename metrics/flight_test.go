package metrics

import (
	"encoding/json"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lastack/lastack/linger"
)

func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Meter
		if l := m.Lives(); len(l) != 0 {
			t.Errorf("nobody has lived, but %v", l)
		}
		h := m.Host("example.com:443")
		began := time.Now()
		at := func(d time.Duration) time.Time { return began.Add(d) }
		c := h.Born(true)
		local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000}
		remote := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2), Port: 443}
		c.SetAddrs(local, remote)
		c.Rest()
		for range 3 {
			time.Sleep(time.Second)
			c.Busy()
			c.Leased(time.Now())
			time.Sleep(100 * time.Millisecond)
			c.Rest()
		}
		time.Sleep(time.Second)
		c.Busy()
		c.Leased(time.Now())

		l := m.Lives()[0]
		if l.Host != "example.com:443" || l.Local != netip.MustParseAddrPort("127.0.0.1:40000") || l.Remote.Port() != 443 ||
			!l.Born.Equal(began) || !l.Left.IsZero() || !l.Gone.IsZero() || l.Reason != "" || l.Requests != 4 {
			t.Errorf("while it serves: %+v", l)
		}
		for i, u := range l.Uses {
			from, took := at(time.Second+time.Duration(i)*1100*time.Millisecond), 100*time.Millisecond
			if i == 3 {
				took = 0
			}
			if !u.From.Equal(from) || u.For != took {
				t.Errorf("use %d is %v, want from %v for %v", i, u, from, took)
			}
		}

		time.Sleep(50 * time.Millisecond)
		c.Leave(Canceled)
		c.Closing()
		time.Sleep(time.Second)
		c.Ended(linger.FinReset, false)
		l = m.Lives()[0]
		left := at(4350 * time.Millisecond)
		if !l.Left.Equal(left) || !l.Gone.Equal(left.Add(time.Second)) || l.Reason != Canceled || l.Ending != linger.FinReset {
			t.Errorf("after its end: %+v", l)
		}
		if len(l.Uses) != 4 || l.Uses[3].For != 50*time.Millisecond {
			t.Errorf("the use that the end ended: %v", l.Uses)
		}
		if b, err := json.Marshal(l); err != nil || !json.Valid(b) {
			t.Errorf("JSON: %s, %v", b, err)
		}
	})
}

func TestLifeWithoutLeave(t *testing.T) {
	var m Meter
	c := m.Host("h").Born(false)
	c.Ended(linger.Unknown, false)
	if l := m.Lives()[0]; l.Reason != Closed || l.Left.IsZero() || l.Gone.IsZero() {
		t.Errorf("a connection that only ended: %+v", l)
	}
	c.Leave(Shutdown)
	if l := m.Lives()[0]; l.Reason != Shutdown {
		t.Errorf("a reason that comes late: %+v", l)
	}
}

// Several requests at a time are one use.
func TestUsesOfMultiplexed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Meter
		c := m.Host("h").Born(true)
		c.Rest()
		c.Busy()
		for range 3 {
			c.Leased(time.Now())
			time.Sleep(time.Second)
		}
		c.Rest()
		c.Rest()
		l := m.Lives()[0]
		if l.Requests != 3 || len(l.Uses) != 1 || l.Uses[0].For != 3*time.Second {
			t.Errorf("three requests at a time: %+v", l)
		}
	})
}

// Where uses follow closely upon one another, those that are kept tell of
// more than an instant.
func TestUsesAreSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Meter
		c := m.Host("h").Born(true)
		began := time.Now()
		for time.Since(began) < 10*time.Second {
			c.Busy()
			c.Leased(time.Now())
			time.Sleep(time.Millisecond)
			c.Rest()
		}
		l := m.Lives()[0]
		if covers := time.Since(l.Uses[0].From); covers < (maxUses-1)*useEvery || len(l.Uses) != maxUses || l.Requests != 10_000 {
			t.Errorf("%d uses of %d requests tell of %v", len(l.Uses), l.Requests, covers)
		}
	})
}

func TestUsesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Meter
		c := m.Host("h").Born(true)
		for i := range 3*maxUses + 5 {
			c.Busy()
			c.Leased(time.Now())
			time.Sleep(useEvery + time.Duration(i)*time.Millisecond)
			c.Rest()
		}
		l := m.Lives()[0]
		if len(l.Uses) != maxUses || l.Requests != 3*maxUses+5 {
			t.Fatalf("%d uses of %d requests", len(l.Uses), l.Requests)
		}
		for i, u := range l.Uses {
			if want := useEvery + time.Duration(2*maxUses+5+i)*time.Millisecond; u.For != want {
				t.Errorf("use %d took %v, want %v", i, u.For, want)
			}
		}
	})
}

func TestLivesAreBounded(t *testing.T) {
	var m Meter
	h := m.Host("h")
	var conns []*Conn
	for range 3 * maxAlive {
		conns = append(conns, h.Born(true))
	}
	if n := len(m.Lives()); n != maxAlive {
		t.Errorf("%d lives of %d connections", n, len(conns))
	}
	for _, c := range conns {
		c.Ended(linger.PeerFirst, false)
	}
	if n := len(m.Lives()); n != maxGone {
		t.Errorf("%d lives are kept of those that ended", n)
	}
	c := h.Born(true)
	c.SetAddrs(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1}, &net.UnixAddr{})
	found := false
	for _, l := range m.Lives() {
		found = found || l.Local.Port() == 1 && !l.Remote.IsValid()
	}
	if !found {
		t.Error("one that was born when others had ended is not there")
	}
	runtime.KeepAlive(c)
}

// A connection that its program forgets never ends. Its account is not kept,
// and its place is given to another, after some births at the latest: to look for
// it takes a while.
func TestForgottenLives(t *testing.T) {
	var m Meter
	h := m.Host("h")
	for range 2 * maxAlive {
		h.Born(true)
	}
	for range 100 {
		runtime.GC()
		if len(m.Lives()) == 0 {
			break
		}
	}
	if n := len(m.Lives()); n != 0 {
		t.Fatalf("%d connections that nobody has are kept", n)
	}
	for range maxAlive / 2 {
		h.Born(true)
	}
	c := h.Born(true)
	found := false
	for _, l := range m.Lives() {
		found = found || l.Born.Equal(h.meter.start.Add(time.Duration(c.born)))
	}
	if !found {
		t.Error("the last connection is not there")
	}
	runtime.KeepAlive(c)
}

func TestLivesConcurrently(t *testing.T) {
	var m Meter
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			h := m.Host("h")
			for range 200 {
				c := h.Born(true)
				c.SetAddrs(nil, nil)
				for range maxUses + 3 {
					c.Busy()
					c.Leased(time.Now())
					c.Rest()
				}
				c.Leave(MaxAge)
				c.Ended(linger.PeerFirst, false)
			}
		})
	}
	stop := make(chan struct{})
	go func() { wg.Wait(); close(stop) }()
	for {
		for _, l := range m.Lives() {
			if len(l.Uses) > maxUses || l.Gone.Before(l.Born) && !l.Gone.IsZero() {
				t.Errorf("%+v", l)
			}
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}

func BenchmarkLeased(b *testing.B) {
	var m Meter
	c := m.Host("h").Born(true)
	at := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		c.Busy()
		c.Leased(at)
		c.Rest()
	}
}
