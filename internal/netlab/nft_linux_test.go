package netlab

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

func TestLoss(t *testing.T) {
	Run(t, func(lab *Lab) {
		conn := dial(t, echo(t, "127.0.0.1:0"))

		// Everything arrives all the same, since the kernel sends it again. That
		// 40 packets all come through a loss of a fifth has odds of 1 to 7000.
		remove := lab.Loss(t, 20)
		before := lab.Counters(t)
		for range 20 {
			roundTrip(t, conn)
		}
		if grown := lab.Counters(t).Since(before); grown["TcpRetransSegs"] == 0 {
			t.Errorf("nothing was sent again: %v", grown)
		}

		remove()
		before = lab.Counters(t)
		for range 20 {
			roundTrip(t, conn)
		}
		if grown := lab.Counters(t).Since(before); grown["TcpExtTCPTimeouts"] != 0 {
			t.Errorf("the loss goes on after it was removed: %v", grown)
		}
	})
}

func TestLossOfEverything(t *testing.T) {
	Run(t, func(lab *Lab) {
		addr := echo(t, "127.0.0.1:0")
		remove := lab.Loss(t, 100)
		dialInVain(t, addr)
		remove()
		roundTrip(t, dial(t, addr))
	})
}

func TestBlackHole(t *testing.T) {
	Run(t, func(lab *Lab) {
		for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
			dark, light := echo(t, listen), echo(t, listen)
			open := dial(t, dark)
			roundTrip(t, open)

			remove := lab.BlackHole(t, dark)
			dialInVain(t, dark)
			roundTrip(t, dial(t, light))

			// A connection from before hears nothing either.
			open.Write([]byte("x"))
			open.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			if n, err := open.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%v: %d bytes came back, %v", dark, n, err)
			}

			remove()
			roundTrip(t, dial(t, dark))
		}
	})
}

// dialInVain wants silence: neither a connection nor a refusal.
func dialInVain(t *testing.T, addr netip.AddrPort) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr.String(), 100*time.Millisecond)
	if err == nil {
		conn.Close()
	}
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		t.Errorf("dial %v: %v, want no answer", addr, err)
	}
}
