package linger

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/sockdiag"
)

// orphanPolicy has an orphanTime of little more than three seconds.
var orphanPolicy = Policy{Wait: 200 * time.Millisecond}

// TestKernelOrphans: a closed connection whose peer has gone silent holds its
// port for some seconds, where the kernel's own patience is about 100; but not
// where something that may be needed is still on its way.
func TestKernelOrphans(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		scenes := []struct {
			name   string
			fact   Fact
			unsent bool // something was written that the peer does not get
			closed bool // the peer had closed before
			stays  bool
			server netip.AddrPort
		}{
			{name: "abandoned, request unsent", fact: Abandoned, unsent: true},
			{name: "abandoned", fact: Abandoned},
			{name: "complete", fact: Complete},
			{name: "owed", fact: Owed},
			{name: "under way and never told", fact: Underway, unsent: true},
			{name: "broken", fact: Broken, unsent: true},
			{name: "broken after the peer has closed", fact: Broken, unsent: true, closed: true},
			{name: "complete, not all of it sent", fact: Complete, unsent: true, stays: true},
			{name: "unsure", fact: Unsure, stays: true},
		}
		closers := make([]Closer, len(scenes))
		for i := range scenes {
			s := &scenes[i]
			closers[i].Policy = orphanPolicy
			c, peer := pair(t, &closers[i])
			say(t, c, "question")
			hear(t, peer, "question")
			say(t, peer, "answer")
			hear(t, c, "answer")
			s.server = peer.LocalAddr().(*net.TCPAddr).AddrPort()
			if s.closed {
				peer.CloseWrite()
				if _, err := c.Read(make([]byte, 1)); err != io.EOF {
					t.Fatal(err)
				}
			}
			lab.BlackHole(t, s.server)
			if s.unsent {
				say(t, c, "another")
			}
			c.Tell(s.fact)
			c.Close()
		}
		gone := func(server netip.AddrPort) bool { return len(lab.States(t, server).Client.By) == 0 }
		began := time.Now()
		for _, s := range scenes {
			if !s.stays {
				netlab.Eventually(t, 45*time.Second, s.name+": the port is free", func() bool { return gone(s.server) })
				t.Logf("%s: the port is free after %v", s.name, time.Since(began).Round(100*time.Millisecond))
			}
		}
		<-time.After(2*orphanPolicy.orphanTime(0) - time.Since(began))
		for _, s := range scenes {
			if s.stays && lab.States(t, s.server).Client.By[sockdiag.FinWait1] != 1 {
				t.Errorf("%s: the kernel has given up: %v", s.name, lab.States(t, s.server))
			}
		}
	})
}

// TestKernelClosedWindow: a peer that does not read for longer than an orphan
// may live still gets all that was written before the close.
func TestKernelClosedWindow(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		type half struct {
			fact  Fact
			peer  *net.TCPConn
			wrote int64
		}
		cl := &Closer{Policy: orphanPolicy}
		var all []half
		for _, fact := range []Fact{Unsure, Complete, Owed} {
			c, peer := pair(t, cl)
			h := half{fact: fact, peer: peer}
			for buf := make([]byte, 1<<20); ; {
				c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
				n, err := c.Write(buf)
				h.wrote += int64(n)
				if err != nil {
					break // both buffers are full
				}
			}
			c.Tell(fact)
			c.Close()
			all = append(all, h)
		}
		<-time.After(2 * orphanPolicy.orphanTime(0))
		for _, h := range all {
			h.peer.SetReadDeadline(time.Now().Add(time.Minute))
			if n, err := io.Copy(io.Discard, h.peer); n != h.wrote || err != nil {
				t.Errorf("fact %d: %d bytes of %d came, %v", h.fact, n, h.wrote, err)
			}
		}
	})
}

// TestSilence: it lasts until the peer speaks, until Close, or until the peer
// closes.
func TestSilence(t *testing.T) {
	const quiet = 50 * time.Millisecond
	cl := new(Closer)
	c, peer := pair(t, cl)
	silent := func() bool {
		d, open := c.Silence()
		return open && d >= quiet
	}
	netlab.Eventually(t, 10*time.Second, "the peer is silent", silent)
	began := time.Now()
	say(t, peer, "word")
	hear(t, c, "word")
	if s, open := c.Silence(); !open || s > time.Since(began)+10*time.Millisecond {
		t.Errorf("silent for %v, but the peer spoke %v ago", s, time.Since(began))
	}
	netlab.Eventually(t, 10*time.Second, "the peer is silent again", silent)
	c.Close()
	if s, open := c.Silence(); s < quiet || !open {
		t.Errorf("after Close: silent for %v, open %t", s, open)
	}

	c, peer = pair(t, cl)
	netlab.Eventually(t, 10*time.Second, "the peer is silent", silent)
	peer.Close()
	hearEOF(t, c)
	if _, open := c.Silence(); open {
		t.Error("the peer has closed, but the connection is open")
	}
	c.Close()
	if _, open := c.Silence(); open {
		t.Error("after Close: the peer had closed, but the connection was open")
	}
}
