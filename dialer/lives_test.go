package dialer

import (
	"io"
	"net"
	"testing"

	"github.com/lastack/lastack/metrics"
)

// Of a connection whose protocol nobody knows the recorder has the ends.
func TestLives(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := &Dialer{Meter: new(metrics.Meter)}
	c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	life := d.Meter.Lives()[0]
	if life.Host != l.Addr().String() || life.Local.String() != c.LocalAddr().String() || life.Remote.String() != l.Addr().String() || !life.Left.IsZero() {
		t.Errorf("%+v", life)
	}
	peer.Close()
	io.ReadAll(c)
	c.Close()
	if err := d.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	life = d.Meter.Lives()[0]
	if life.Gone.IsZero() || life.Reason != metrics.Closed {
		t.Errorf("after its end: %+v", life)
	}
}
