//go:build unix

package grpcpool

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

// pairs returns both ends of connections of the net package.
func pairs(t *testing.T) map[string][2]net.Conn {
	t.Helper()
	all := map[string][2]net.Conn{}
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		l := listen(t, network, address)
		defer l.Close()
		c, err := net.Dial(network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		peer, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(); peer.Close() })
		all[network] = [2]net.Conn{c, peer}
	}
	return all
}

// A bare conn that is observed is read without a buffer, as a bare one, and as
// the net package would read it.
func TestObserveBare(t *testing.T) {
	for network, ends := range pairs(t) {
		t.Run(network, func(t *testing.T) {
			c, peer := ends[0], ends[1]
			o := observe(c, c, new(audience).open)
			pool := mem.DefaultBufferPool()
			read := func() (string, error) {
				b, n, err := o.(readsWhenReady).ReadOnReady(100, pool)
				if err != nil {
					return "", err
				}
				defer pool.Put(b)
				return string((*b)[:n]), nil
			}
			peer.Write([]byte("hello"))
			if got, err := read(); got != "hello" || err != nil {
				t.Errorf("read %q, %v", got, err)
			}
			o.SetReadDeadline(time.Unix(1, 0))
			if _, err := read(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("past the deadline: %v", err)
			}
			o.SetReadDeadline(time.Time{})
			peer.Close()
			if _, err := read(); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
			o.Close()
			if _, err := read(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("closed: %v", err)
			}
		})
	}
}

func TestObserveUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	serve(t, listen(t, "unix", path), grpc.MaxConcurrentStreams(4))
	var a audience
	cc, err := grpc.NewClient("unix:"+path, append(DialOptions(nil),
		grpc.WithTransportCredentials(observing(insecure.NewCredentials(), a.open)))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	checkHealth(t, cc)
	if got := a.heard(); len(got) != 1 || got[0] != "settings 4" {
		t.Errorf("heard %q", got)
	}
}
