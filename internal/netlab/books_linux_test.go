package netlab

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/lastack/lastack/internal/witness"
	"github.com/lastack/lastack/linger"
)

// Whatever is wrong with our count, the books show it.
func TestBooks(t *testing.T) {
	plain := &linger.Closer{Policy: linger.Policy{Wait: -1, Fallback: linger.Plain}}
	for _, tt := range []struct {
		name  string
		cheat func(b *books, e witness.Event, local, remote netip.AddrPort) // hears what b should
		want  []string                                                      // each in one difference; none: they agree
	}{
		{"honest", (*books).note, nil},
		{"not seen", func(b *books, e witness.Event, local, remote netip.AddrPort) {
			if e != witness.TimeWait {
				b.note(e, local, remote)
			}
		}, []string{"the kernel holds one that was not seen"}},
		{"seen twice", func(b *books, e witness.Event, local, remote netip.AddrPort) {
			b.note(e, local, remote)
			if e == witness.TimeWait {
				b.note(e, local, remote)
			}
		}, []string{"seen twice"}},
		{"of another", func(b *books, e witness.Event, local, remote netip.AddrPort) {
			b.note(e, local, remote)
			if e == witness.TimeWait {
				b.note(e, local, netip.AddrPortFrom(remote.Addr(), 1))
			}
		}, []string{"does not hold"}},
		{"not counted", func(b *books, e witness.Event, local, remote netip.AddrPort) {
			b.note(e, local, remote)
			if e == witness.Wrapped {
				b.note(witness.Metered, local, remote)
			}
		}, []string{"1 were seen on connections with a Meter, and the Meters have counted 0"}},
		{"counted", func(b *books, e witness.Event, local, remote netip.AddrPort) {
			b.note(e, local, remote)
			switch e {
			case witness.Wrapped:
				b.note(witness.Metered, local, remote)
			case witness.TimeWait:
				b.note(witness.Counted, local, remote)
			}
		}, nil},
		{"counted twice", func(b *books, e witness.Event, local, remote netip.AddrPort) {
			b.note(e, local, remote)
			switch e {
			case witness.Wrapped:
				b.note(witness.Metered, local, remote)
			case witness.TimeWait:
				b.note(witness.Counted, local, remote)
				b.note(witness.Counted, local, remote)
			}
		}, []string{"counted that nobody has seen, or twice", "1 were seen on connections with a Meter, and the Meters have counted 2"}},
		{"counted without a Meter", func(b *books, e witness.Event, local, remote netip.AddrPort) {
			b.note(e, local, remote)
			if e == witness.TimeWait {
				b.note(witness.Counted, local, remote)
			}
		}, []string{"counted that nobody has seen", "Meters have counted 1"}},
		{"counted of nothing", func(b *books, e witness.Event, local, remote netip.AddrPort) {
			b.note(e, local, remote)
			if e == witness.TimeWait {
				b.note(witness.Counted, local, netip.AddrPortFrom(remote.Addr(), 1))
			}
		}, []string{"counted that the kernel does not hold"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			Run(t, func(lab *Lab) {
				b := openBooks(t)
				witness.Hear(func(e witness.Event, local, remote netip.AddrPort) { tt.cheat(b, e, local, remote) })
				closeFirst(t, func(c *net.TCPConn) net.Conn { return plain.Conn(c) })
				closeFirst(t, func(c *net.TCPConn) net.Conn { return c }) // somebody else's
				if err := plain.Shutdown(t.Context()); err != nil {
					t.Fatal(err)
				}
				got := b.differences(t)
				if len(got) != len(tt.want) {
					t.Fatalf("%d differences, want %d: %q", len(got), len(tt.want), got)
				}
				for _, want := range tt.want {
					if !slices.ContainsFunc(got, func(d string) bool { return strings.Contains(d, want) }) {
						t.Errorf("%q: %q", want, got)
					}
				}
			})
		})
	}
}

// What comes after a connection of ours between the same addresses is not taken
// for ours.
func TestBooksOfTurnover(t *testing.T) {
	Run(t, func(lab *Lab) {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var cl linger.Closer
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 20000}}
		closeFirstOver(t, d, l, func(c *net.TCPConn) net.Conn {
			conn := cl.Conn(c)
			conn.PresetFinReset()
			conn.Tell(linger.Complete)
			return conn
		})
		if err := cl.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		closeFirstOver(t, d, l, func(c *net.TCPConn) net.Conn { return c })
		if client, _ := lab.TimeWaits(t, netip.MustParseAddrPort(l.Addr().String())); client != 1 {
			t.Errorf("%d TIME_WAITs, want that of the second", client)
		}
	})
}

// closeFirst leaves a TIME_WAIT behind a connection.
func closeFirst(t *testing.T, wrap func(*net.TCPConn) net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	closeFirstOver(t, net.Dialer{}, l, wrap)
}

// closeFirstOver makes a connection, and closes it before its peer does.
func closeFirstOver(t *testing.T, d net.Dialer, l net.Listener, wrap func(*net.TCPConn) net.Conn) {
	t.Helper()
	c, err := d.DialContext(t.Context(), "tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	wrap(c.(*net.TCPConn)).Close()
	if _, err := peer.Read(make([]byte, 1)); err == nil {
		t.Error("the client has said something")
	}
	peer.Close()
}
