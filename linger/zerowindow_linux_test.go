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

// TestKernelFullClient: a client whose kernel has taken every byte, and has no
// room for the FIN, reads the end when it reads on.
func TestKernelFullClient(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		type half struct {
			client *net.TCPConn
			wrote  int64
		}
		cl := &Closer{Policy: orphanPolicy}
		var all []half
		for range 5 {
			c, client := accepted(t, cl)
			all = append(all, half{client, fill(t, c)})
			c.Close()
		}
		<-time.After(2 * orphanPolicy.orphanTime(0))
		for _, h := range all {
			h.client.SetReadDeadline(time.Now().Add(20 * time.Second))
			if n, err := io.Copy(io.Discard, h.client); n != h.wrote || err != nil {
				t.Errorf("%d bytes of %d came, %v", n, h.wrote, err)
			}
		}
	})
}
