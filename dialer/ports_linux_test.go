package dialer

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
)

// A server keeps what it accepts until it is told to close that.
type server struct {
	netip.AddrPort
	l     net.Listener
	done  chan struct{}
	mu    sync.Mutex
	conns []net.Conn
}

func listen(t testing.TB, network, address string) *server {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{AddrPort: l.Addr().(*net.TCPAddr).AddrPort(), l: l, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-s.done
		s.closeAll()
	})
	return s
}

func (s *server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

// A contextDialer is ours, or the net package's.
type contextDialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// fill opens connections until a dial fails, most at most. It returns them and
// that error. They stay open until the test is over.
func fill(t testing.TB, d contextDialer, to netip.AddrPort, most int) ([]net.Conn, error) {
	t.Helper()
	var conns []net.Conn
	for range most {
		c, err := d.DialContext(t.Context(), "tcp", to.String())
		if err != nil {
			return conns, err
		}
		t.Cleanup(func() { c.Close() })
		conns = append(conns, c)
	}
	return conns, nil
}

// awaitAndClose closes the connections once there are n of them.
func (s *server) awaitAndClose(t testing.TB, n int) {
	t.Helper()
	netlab.Eventually(t, 10*time.Second, "all are accepted", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.conns) == n
	})
	s.closeAll()
}
