package linger

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/sockopt"
)

// fill writes until the client's kernel has acknowledged all of it and has no
// room for a byte more.
func fill(t *testing.T, c *Conn) (wrote int64) {
	t.Helper()
	buf := make([]byte, 64<<10)
	netlab.Eventually(t, 30*time.Second, "the client's window is closed", func() bool {
		info, err := sockopt.ReadInfo(c.raw)
		if err != nil || info.Window < 0 {
			t.Skip("the kernel does not tell the client's window: ", err)
		}
		if info.Unsent > 0 {
			return false
		}
		n, err := c.Write(buf[:min(info.Window, len(buf))])
		if wrote += int64(n); err != nil {
			t.Fatal(err)
		}
		return info.Window == 0
	})
	return wrote
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

		c, client := accepted(t, cl)
		all = append(all, half{"it had no room for the FIN", client, fill(t, c)})
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
