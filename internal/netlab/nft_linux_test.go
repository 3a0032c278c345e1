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

		// Everything arrives all the same, since the kernel sends it again: at
		// times only after many seconds, when it loses the same byte repeatedly.
		conn.SetDeadline(time.Now().Add(2 * time.Minute))
		remove := lab.Loss(t, 20)
		before := lab.Counters(t)
		for n := 0; lab.Counters(t).Since(before)["TcpRetransSegs"] == 0; n++ {
			if n == 200 {
				t.Fatalf("nothing was sent again in %d round trips: %v", n, lab.Counters(t).Since(before))
			}
			roundTrip(t, conn)
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
