package linger

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/sockopt"
)

// full returns a connection whose client's kernel has acknowledged all that was
// written, and has no room for a byte more. A kernel that drops what it had
// offered room for, as one may that is nearly full, is left alone.
func full(t *testing.T, cl *Closer) (c *Conn, client *net.TCPConn, wrote int64) {
	t.Helper()
	buf := make([]byte, 64<<10)
	for range 10 {
		c, client = accepted(t, cl)
		wrote = 0
		for end := time.Now().Add(time.Second); time.Now().Before(end); {
			info, err := sockopt.ReadInfo(c.raw)
			if err != nil || info.Window < 0 {
				t.Skip("the kernel does not tell the client's window: ", err)
			}
			if info.Unsent > 0 {
				<-time.After(time.Millisecond)
				continue
			}
			if info.Window == 0 {
				return c, client, wrote
			}
			n, err := c.Write(buf[:min(info.Window, len(buf))])
			if wrote += int64(n); err != nil {
				t.Fatal(err)
			}
		}
		info, _ := sockopt.ReadInfo(c.raw)
		t.Logf("%d bytes written: %+v", wrote, info)
		c.Tell(Broken)
		c.Close()
	}
	t.Fatal("no client's window is closed")
	return nil, nil, 0
}

// TestKernelLateEnd: a client reads the end of what it was sent, although it
// could not be told for longer than the server's kernel tries to tell a client
// that does not close.
func TestKernelLateEnd(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		type half struct {
			name   string
			client *net.TCPConn
			wrote  int64
		}
		cl := &Closer{Policy: orphanPolicy}
		var all []half

		c, client, wrote := full(t, cl)
		all = append(all, half{"it had no room for the FIN", client, wrote})
		c.Close()

		c, client = accepted(t, cl)
		lockFilter(t, c)
		say(t, c, enough)
		hear(t, client, enough)
		all = append(all, half{"the FIN was lost on a socket that hears", client, 0})
		remove := lab.BlackHole(t, c.local)
		c.Close()

		<-time.After(2 * orphanPolicy.orphanTime(0))
		remove()
		for _, h := range all {
			h.client.SetReadDeadline(time.Now().Add(20 * time.Second))
			if n, err := io.Copy(io.Discard, h.client); n != h.wrote || err != nil {
				t.Errorf("%s: %d bytes of %d came, %v", h.name, n, h.wrote, err)
			}
		}
	})
}
