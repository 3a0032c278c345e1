package grpcinterop

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
)

// channelSoak is how many channels the test makes, each for one call. All stay
// open until the last is done, and are closed then.
const channelSoak = 1000

// TestChannelSoakTimeWait: a channel for each call is how a gRPC client makes
// TIME_WAITs. The kernel counts.
func TestChannelSoakTimeWait(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(encryption(secure), func(t *testing.T) {
			netlab.Run(t, func(lab *netlab.Lab) {
				for _, via := range slices.Sorted(maps.Keys(vias)) {
					s := start(t, secure, false) // of its own: its port tells whose sockets are whose
					name := "channel_soak"
					if via == "NewClient" {
						name = interfaceSoak // else it would go past the pool, through its Conn
					}
					cmd, out := s.client(t, lab, client{Case: name, Via: via, Iterations: channelSoak, RequestSize: 1000, ResponseSize: 1000})
					if err := cmd.Run(); err != nil {
						t.Fatalf("%s: %v\n%s", via, err, tail(out.String()))
					}
					lab.Settle(t, s.addr, 5*time.Second)
					here, there := lab.TimeWaits(t, s.addr)
					t.Logf("TIME_WAIT of %d channels, %s: client %d, server %d", channelSoak, via, here, there)
					switch {
					case via != "stock" && here != 0:
						t.Errorf("%s leaves %d TIME_WAIT on this side, want 0", via, here)
					case via == "stock" && !secure && here < channelSoak*9/10:
						// Over TLS the server's close_notify meets a closed
						// socket, and chance has it.
						t.Errorf("stock leaves %d TIME_WAIT: this test would not see one of ours", here)
					}
				}
			})
		})
	}
}

// tail is what matters of a soak's output, which has a line for each call.
func tail(s string) string { return s[max(0, len(s)-4000):] }
