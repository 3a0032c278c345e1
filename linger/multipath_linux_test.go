package linger

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
)

// TestKernelMultipath: what a server keeps of a client that speaks Multipath TCP
// is counted, also when the client takes its time to close.
func TestKernelMultipath(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		for _, late := range []time.Duration{0, 100 * time.Millisecond} {
			inner, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			got := new(endings)
			cl := &Closer{Ended: got.add}
			l := cl.Listener(inner)
			var d net.Dialer
			d.SetMultipathTCP(true)
			client, err := d.Dial("tcp4", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
			if is, _ := client.(*net.TCPConn).MultipathTCP(); !is {
				t.Skip("the kernel does not speak Multipath TCP")
			}
			say(t, c, enough)
			c.Close()
			<-time.After(late)
			client.SetReadDeadline(time.Now().Add(20 * time.Second))
			if said, err := io.ReadAll(client); string(said) != enough || err != nil {
				t.Errorf("%q, %v", said, err)
			}
			client.Close()
			got.wantOne(t, cl, LocalFirst)
		}
	})
}
