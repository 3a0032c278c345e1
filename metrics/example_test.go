package metrics_test

import (
	"fmt"
	"time"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// A program that pools connections itself records what it does. Here five
// requests come at once, which takes five connections; all are kept until they
// have rested for long enough, and then end as they should.
func Example() {
	var meter metrics.Meter
	host := meter.Host("example.com:443")

	var conns []*metrics.Conn
	for range 5 {
		host.Request()
		host.DialStart(metrics.AllBusy)
		host.DialDone(metrics.Dial{Total: time.Nanosecond})
		conns = append(conns, host.Born(true))
		host.Lease(time.Now(), false)
	}
	for _, c := range conns {
		c.Rest()
		host.Return(time.Now(), time.Time{})
	}
	for _, c := range conns {
		c.Leave(metrics.IdleTimeout)
		c.Ended(linger.PeerFirst, false)
	}

	s := meter.Snapshot()
	fmt.Print(s)
	fmt.Println("balance:", s.Balance())
	// Output:
	// requests:    5 (0 of 5 leases reused a connection; 0 waits, 0 retries)
	// dials:       5 (0 failed, 0 in progress)
	// connections: 5 born, 0 resting, 0 busy, 0 leaving
	// ended:       peer_first 5
	// left for:    idle_timeout 5
	// TIME_WAITs:  0; would have been at least 3 with net/http's defaults, up to 5 with a connection per request
	// balance: <nil>
}
