package pool

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// The recorder follows the connections of every protocol from birth to end.
func TestLives(t *testing.T) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			srv, base := newServer(t, proto, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, r.RemoteAddr)
			}))
			tr := &Transport{Base: base, Meter: new(metrics.Meter)}
			defer shutdown(t, tr)
			const requests = 5
			var local string
			for range requests {
				local = get(t, tr, srv.URL)
			}
			lives := tr.Meter.Lives()
			if len(lives) != 1 {
				t.Fatalf("%d lives of one connection", len(lives))
			}
			l := lives[0]
			if l.Local.String() != local || l.Remote.String() != srv.Listener.Addr().String() || l.Requests != requests || len(l.Uses) != requests {
				t.Errorf("%+v, the server says %s", l, local)
			}
			if !l.Left.IsZero() || !l.Gone.IsZero() || l.Reason != "" {
				t.Errorf("it rests, and is said to have gone: %+v", l)
			}
			for _, u := range l.Uses {
				if u.From.Before(l.Born) || u.For <= 0 {
					t.Errorf("a use of a connection at rest: %+v", u)
				}
			}
			shutdownQuietly(t, tr)
			l = tr.Meter.Lives()[0]
			if l.Reason != metrics.Shutdown || l.Gone.Before(l.Left) || l.Left.Before(l.Born) || l.Ending == linger.Unknown || len(l.Uses) != requests {
				t.Errorf("after its end: %+v", l)
			}
		})
	}
}

// What somebody else has wrapped is followed as far as it is seen.
func TestLivesUnmanaged(t *testing.T) {
	srv, base := newServer(t, "http", http.NotFoundHandler())
	base.Dial = func(network, addr string) (net.Conn, error) {
		c, err := net.Dial(network, addr)
		return struct{ net.Conn }{c}, err
	}
	base.DialContext = nil
	tr := &Transport{Base: base, Meter: new(metrics.Meter)}
	defer shutdownQuietly(t, tr)
	get(t, tr, srv.URL)
	tr.CloseIdleConnections()
	l := tr.Meter.Lives()[0]
	if l.Remote.String() != srv.Listener.Addr().String() || l.Requests != 1 || l.Reason != metrics.CloseIdle {
		t.Errorf("%+v", l)
	}
}

// http.Transport asks a connection for no address, so one that has none to
// tell works in the pool too.
func TestConnWithoutAddress(t *testing.T) {
	srv, base := newServer(t, "http", hello)
	base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return halfConn{ReadWriteCloser: c}, err
	}
	tr := &Transport{Base: base, Meter: new(metrics.Meter)}
	defer shutdownQuietly(t, tr)
	if got := get(t, tr, srv.URL); got != "hello" {
		t.Errorf("got %q", got)
	}
	if l := tr.Meter.Lives()[0]; l.Requests != 1 || l.Remote.IsValid() {
		t.Errorf("%+v", l)
	}
}

// A halfConn reads, writes and closes. Asked for more, it panics.
type halfConn struct {
	io.ReadWriteCloser
	noConn
}

type noConn struct{ net.Conn }
