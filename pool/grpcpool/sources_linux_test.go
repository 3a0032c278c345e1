package grpcpool

import (
	"net"
	"net/netip"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
)

// TestSources: a channel's connections come from the Dialer's sources, to a server
// as to a proxy.
func TestSources(t *testing.T) {
	backend := listen(t, "tcp", "127.0.0.1:0")
	serve(t, backend)
	for _, tt := range []struct {
		name, target string
		proxy        bool
	}{
		{"direct", backend.Addr().String(), false},
		{"via a proxy", "service.invalid:5000", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.proxy {
				behind(t, "http://"+newProxy(t, backend.Addr().String(), connected).Addr().String())
			}
			d := newDialer()
			d.Sources = []netip.Addr{netip.MustParseAddr("127.0.1.1"), netip.IPv6Loopback()}
			var p peer.Peer
			if err := call(t, d, tt.target, grpc.WithDefaultCallOptions(grpc.Peer(&p))); err != nil {
				t.Fatal(err)
			}
			if a, ok := p.LocalAddr.(*net.TCPAddr); !ok || a.IP.String() != "127.0.1.1" {
				t.Errorf("the connection came from %v", p.LocalAddr)
			}
			if err := d.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
