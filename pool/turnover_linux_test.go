package pool

import (
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
)

// TestKernelTurnover: in a range of 1,000 ports each request has a connection of
// its own, one after the other, as fast as that goes. With net/http the range is
// used up after 1,000. The pool goes on, and leaves nothing.
func TestKernelTurnover(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		const ports = 1000
		turns := 50 * ports
		if testing.Short() || underRace {
			turns = 3 * ports
		}
		srv := outsideRange(t, hello)
		addr := srv.Listener.Addr().(*net.TCPAddr).AddrPort()
		visit := func(rt http.RoundTripper) error {
			resp, err := (&http.Client{Transport: rt}).Get(srv.URL)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, resp.Body)
			return errors.Join(err, resp.Body.Close())
		}

		tr := &Transport{MaxRequests: 1}
		began := time.Now()
		for i := range turns {
			if err := visit(tr); err != nil {
				t.Fatalf("request %d: %v", i+1, err)
			}
		}
		t.Logf("the pool made %d connections in %v", turns, time.Since(began).Round(time.Millisecond))
		shutdown(t, tr)
		lab.Settle(t, addr, 10*time.Second)
		client, _ := lab.TimeWaits(t, addr)
		s := tr.Stats()
		if client != 0 || s.TimeWaits != 0 || s.DialErrors != 0 || s.Retries != 0 || s.Born != uint64(turns) {
			t.Errorf("%d TIME_WAIT, we count %d; %d of %d dials failed, %d retries", client, s.TimeWaits, s.DialErrors, s.Born, s.Retries)
		}

		stock, made := &http.Transport{MaxIdleConnsPerHost: -1}, 0
		err := visit(stock)
		for ; err == nil && made < turns; made++ {
			err = visit(stock)
		}
		if made > 3*ports/2 || !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("net/http made %d connections, then %v; want about %d", made, err, ports)
		}
		t.Logf("net/http made %d connections, then: %v", made, err)
	}, netlab.PortRange(20000, 20999))
}
