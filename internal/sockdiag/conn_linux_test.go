package sockdiag

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func open(t testing.TB) *Conn {
	t.Helper()
	c, err := Open()
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// pair returns both ends of a loopback connection.
func pair(t testing.TB, network, address string) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Skipf("no %s here: %v", network, err)
	}
	defer l.Close()
	c, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func addrs(c net.Conn) (local, remote netip.AddrPort) {
	return c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
}

// wantState waits until the kernel says want: what one end does reaches the
// other within microseconds, but not at once.
func wantState(t *testing.T, c *Conn, local, remote netip.AddrPort, want State) Socket {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		s, ok, err := c.Find(local, remote)
		if err != nil {
			t.Fatalf("Find(%v, %v): %v", local, remote, err)
		}
		if ok && s.State == want {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("Find(%v, %v) = %v, %v; want %v", local, remote, s.State, ok, want)
		}
	}
}

func TestLookupFollowsALife(t *testing.T) {
	for _, tt := range []struct{ network, address string }{
		{"tcp4", "127.0.0.1:0"},
		{"tcp6", "[::1]:0"},
	} {
		t.Run(tt.network, func(t *testing.T) {
			diag := open(t)
			client, server := pair(t, tt.network, tt.address)
			local, remote := addrs(client)

			if s := wantState(t, diag, local, remote, Established); s.Inode == 0 || s.Mini() {
				t.Errorf("a connection in use is %+v", s)
			}
			client.CloseWrite()
			if s := wantState(t, diag, local, remote, FinWait2); s.Mini() {
				t.Errorf("a half-closed connection with an owner is a mini-socket: %+v", s)
			}
			wantState(t, diag, remote, local, CloseWait)
			client.Close()
			if _, err := io.Copy(io.Discard, server); err != nil {
				t.Fatal(err)
			}
			server.Close()
			if s := wantState(t, diag, local, remote, TimeWait); !s.Mini() || s.Expires <= 0 || s.Expires > time.Minute+time.Second {
				t.Errorf("a TIME_WAIT is %+v", s)
			}
			if _, ok, err := diag.Lookup(remote, local); ok || err != nil {
				t.Errorf("the side that closed second: Lookup = %v, %v; want absent", ok, err)
			}
		})
	}
}

func TestLookupMapped(t *testing.T) {
	diag := open(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port

	// net.Dial makes an IPv4 socket for an IPv4 address, so this one is made
	// by hand.
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	defer func() { unix.Close(fd) }()
	to := &unix.SockaddrInet6{Port: port, Addr: netip.MustParseAddr("::ffff:127.0.0.1").As16()}
	if err := unix.Connect(fd, to); err != nil {
		t.Skipf("no dual-stack sockets here: %v", err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	remote, local := addrs(server)

	wantState(t, diag, local, remote, Established)
	mapped := func(a netip.AddrPort) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
	}
	s := wantState(t, diag, mapped(local), mapped(remote), Established)
	if s.Local != local || s.Remote != remote {
		t.Errorf("Find gave %v → %v, want %v → %v", s.Local, s.Remote, local, remote)
	}

	unix.Shutdown(fd, unix.SHUT_WR)
	io.Copy(io.Discard, server)
	server.Close()
	wantState(t, diag, local, remote, TimeWait)
}

func TestLookupAbsent(t *testing.T) {
	diag := open(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	listening := l.Addr().(*net.TCPAddr).AddrPort()

	for _, tt := range []struct{ local, remote netip.AddrPort }{
		{netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")},
		{netip.MustParseAddrPort("[::1]:1"), netip.MustParseAddrPort("[::1]:2")},
		{listening, netip.MustParseAddrPort("127.0.0.1:2")}, // the kernel offers the listener
	} {
		if state, ok, err := diag.Lookup(tt.local, tt.remote); ok || err != nil {
			t.Errorf("Lookup(%v, %v) = %v, %v, %v; want absent", tt.local, tt.remote, state, ok, err)
		}
	}
	if _, _, err := diag.Lookup(listening, netip.MustParseAddrPort("[::1]:2")); err == nil {
		t.Error("Lookup between IPv4 and IPv6: no error")
	}
	if _, _, err := diag.Lookup(netip.AddrPort{}, listening); err == nil {
		t.Error("Lookup of no address: no error")
	}
}

func TestEach(t *testing.T) {
	diag := open(t)
	want := map[netip.AddrPort]bool{}
	for range 300 { // more than one buffer holds
		client, _ := pair(t, "tcp4", "127.0.0.1:0")
		local, _ := addrs(client)
		want[local] = true
	}
	client6, _ := pair(t, "tcp6", "[::1]:0")
	local6, remote6 := addrs(client6)
	want[local6] = true

	err := diag.Each(Established.Mask(), func(s Socket) bool {
		if s.State != Established {
			t.Errorf("asked for established, got %v", s.State)
		}
		delete(want, s.Local)
		return true
	})
	if err != nil || len(want) != 0 {
		t.Fatalf("Each missed %d connections, error %v", len(want), err)
	}

	calls := 0
	if err := diag.Each(AllStates, func(Socket) bool { calls++; return false }); err != nil || calls != 1 {
		t.Errorf("Each called %d times after false, error %v", calls, err)
	}
	wantState(t, diag, local6, remote6, Established) // the Conn still works
	for range 3 {                                    // also for a dump after one that was stopped
		seen := 0
		if err := diag.Each(AllStates, func(Socket) bool { seen++; return seen < 2 }); err != nil || seen != 2 {
			t.Errorf("Each called %d times, error %v", seen, err)
		}
	}
	all := 0
	if err := diag.Each(Established.Mask(), func(Socket) bool { all++; return true }); err != nil || all < 600 {
		t.Errorf("Each after others that were stopped: %d sockets, error %v", all, err)
	}
}

// TestEachHeard: what a program has not read of a peer that has closed, and for
// how long it has not.
func TestEachHeard(t *testing.T) {
	diag := open(t)
	client, server := pair(t, "tcp4", "127.0.0.1:0")
	local, remote := addrs(client)
	wantUnread := func(want uint32) {
		t.Helper()
		wantState(t, diag, local, remote, CloseWait)
		var found Socket
		for deadline := time.Now().Add(5 * time.Second); found.Heard < 50*time.Millisecond; {
			if time.Now().After(deadline) {
				t.Fatalf("the peer has been silent for 50 ms and more, but: %+v", found)
			}
			if err := diag.EachHeard(CloseWait.Mask(), func(s Socket) bool {
				if s.Local == local && s.Remote == remote {
					found = s
				}
				return true
			}); err != nil {
				t.Fatal(err)
			}
		}
		if found.Unread != want {
			t.Errorf("%d bytes unread, want %d", found.Unread, want)
		}
	}
	server.Write([]byte("bye"))
	server.Close()
	wantUnread(4) // and the FIN
	if b, err := io.ReadAll(client); err != nil || string(b) != "bye" {
		t.Fatal(string(b), err)
	}
	wantUnread(0)
}

func TestClosedConn(t *testing.T) {
	diag := open(t)
	if err := diag.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, err := diag.Lookup(netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2"))
	if !errors.Is(err, net.ErrClosed) || !errors.Is(diag.Close(), net.ErrClosed) {
		t.Errorf("a closed Conn: %v", err)
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	diag := open(t)
	client, _ := pair(t, "tcp4", "127.0.0.1:0")
	local, remote := addrs(client)
	absent := netip.AddrPortFrom(remote.Addr(), 1)
	if n := testing.AllocsPerRun(100, func() {
		diag.Lookup(local, remote)
		diag.Lookup(local, absent)
	}); n != 0 {
		t.Errorf("two look-ups allocate %v times", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	diag := open(b)
	client, _ := pair(b, "tcp4", "127.0.0.1:0")
	local, remote := addrs(client)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := diag.Lookup(local, remote); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkEachTimeWait(b *testing.B) {
	diag := open(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := diag.Each(TimeWait.Mask(), func(Socket) bool { return true }); err != nil {
			b.Fatal(err)
		}
	}
}
