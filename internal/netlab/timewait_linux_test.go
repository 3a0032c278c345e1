package netlab

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/lastack/lastack/internal/sockdiag"
)

// The lab counts what stock net/http is known to leave, exactly.
func TestStockTransportLeavesTimeWaits(t *testing.T) {
	Run(t, func(lab *Lab) {
		const conns = 64
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte("hello")) // without a body, a connection is free again at once
		}))
		defer srv.Close()
		e := endpoint{addr: netip.MustParseAddrPort(srv.Listener.Addr().String()), url: srv.URL, major: 1}
		start := lab.Counters(t)
		c := e.client(t)
		e.open(t, c, conns)
		if s := lab.States(t, e.addr); s.Client.By[sockdiag.Established] != conns || s.Server.By[sockdiag.Established] != conns {
			t.Errorf("before the close: %v", s)
		}
		if grown := lab.Counters(t).Since(start); grown["TcpActiveOpens"] != conns || grown["TcpPassiveOpens"] != conns {
			t.Errorf("want %d connections, and nobody else's: %v", conns, grown)
		}

		before := lab.Counters(t)
		c.CloseIdleConnections()
		wantTimeWaits(t, lab, e.addr, conns, 0)
		if grown := lab.Counters(t).Since(before); grown["TcpExtTWRecycled"] != 0 {
			t.Errorf("ports were given away: %v", grown)
		}
	})
}

// wantTimeWaits waits until there are as many in all as are wanted, and fails
// the test when the wrong side has them.
func wantTimeWaits(t *testing.T, lab *Lab, addr netip.AddrPort, wantClient, wantServer int) {
	t.Helper()
	Eventually(t, 4*settle, "all connections have ended", func() bool {
		client, server := lab.TimeWaits(t, addr)
		return client+server >= wantClient+wantServer
	})
	lab.Settle(t, addr, settle)
	if client, server := lab.TimeWaits(t, addr); client != wantClient || server != wantServer {
		t.Errorf("TIME_WAIT: %d of the client's, %d of the server's, want %d and %d; %v",
			client, server, wantClient, wantServer, lab.States(t, addr))
	}
}
