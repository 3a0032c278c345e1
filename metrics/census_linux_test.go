package metrics

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/lastack/lastack/internal/netlab"
)

// TestCensus runs in a namespace of its own: in the machine's, the sockets of
// others have used the same ports.
func TestCensus(t *testing.T) { netlab.Run(t, func(*netlab.Lab) { testCensus(t) }) }

func testCensus(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 3 {
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		server := s.RemoteAddr().(*net.TCPAddr).AddrPort()
		defer func() {
			census, err := Census(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if n := census.ByDestination[server]; n != nil {
				t.Errorf("an accepted connection counts as one to %v: %v", server, n)
			}
		}()
	}

	s, err := Census(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := s.ByDestination[l.Addr().(*net.TCPAddr).AddrPort()]["established"]; n != 3 {
		t.Errorf("%d connections established to the listener, want 3", n)
	}
	if s.ByState["listen"] < 1 || s.ByState["established"] < 6 {
		t.Errorf("by state: %v", s.ByState)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Census(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
