package websockettest

import (
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/pool"
)

// ringConns is how many WebSockets each case makes.
const ringConns = 200

// TestTimeWait: after a close handshake the server closes first, whoever began
// it (RFC 6455 section 7.1.1). The kernel counts.
func TestTimeWait(t *testing.T) {
	for _, kind := range []string{"ws", "wss"} {
		for name, end := range map[string]func(*testing.T, *websocket.Conn){
			"client begins": func(t *testing.T, c *websocket.Conn) {
				if err := c.Close(websocket.StatusNormalClosure, "done"); err != nil {
					t.Error(err)
				}
			},
			"server begins": func(t *testing.T, c *websocket.Conn) {
				c.Write(t.Context(), websocket.MessageText, []byte("close"))
				if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
					t.Error(err)
				}
				c.CloseNow()
			},
			"dropped": func(t *testing.T, c *websocket.Conn) { c.CloseNow() },
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				netlab.Run(t, func(lab *netlab.Lab) {
					p := start(t, kind, "127.0.0.1:0")
					stock := p.base.Clone()
					play(t, p, stock, end)
					client, server := timeWaits(t, lab, p)

					p = start(t, kind, "127.0.0.1:0")
					tr := &pool.Transport{Base: p.base}
					play(t, p, tr, end)
					shutdown(t, tr)
					ours, oursServer := timeWaits(t, lab, p)
					s := tr.Stats()
					t.Logf("TIME_WAIT of %d WebSockets: client %d, server %d; stock net/http: client %d, server %d; endings %v",
						ringConns, ours, oursServer, client, server, s.Ended)
					if name == "dropped" {
						return // whoever drops a connection closes it first
					}
					if ours != 0 || s.TimeWaits != 0 {
						t.Errorf("this side has %d TIME_WAIT, and counts %d", ours, s.TimeWaits)
					}
				})
			})
		}
	}
}

// play opens all WebSockets, and then ends them.
func play(t *testing.T, p peer, rt http.RoundTripper, end func(*testing.T, *websocket.Conn)) {
	t.Helper()
	conns := make([]*websocket.Conn, ringConns)
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() {
			conns[i] = dial(t, p, rt)
			echo(t, conns[i], []byte("hello"))
		})
	}
	wg.Wait()
	for _, c := range conns {
		wg.Go(func() { end(t, c) })
	}
	wg.Wait()
}

func timeWaits(t *testing.T, lab *netlab.Lab, p peer) (client, server int) {
	t.Helper()
	u, err := url.Parse(p.http)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(u.Host)
	lab.Settle(t, addr, 10*time.Second)
	s := lab.States(t, addr)
	return s.Client.TimeWaits() + s.Client.MiniFinWait2, s.Server.TimeWaits() + s.Server.MiniFinWait2
}
