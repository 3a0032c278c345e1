package metrics_test

import (
	"fmt"
	"time"

	"github.com/lastack/lastack/metrics"
)

// A program that used to keep ten connections for a host asks what its former
// pool would have done with the requests of today. The name of the second Ghost
// is taken, so there is no such model.
func ExampleMeter_Check() {
	meter := metrics.Meter{Ghosts: []metrics.Ghost{
		{Name: "before", MaxIdlePerHost: 10, IdleTimeout: 30 * time.Second},
		{Name: metrics.NetHTTPDefault},
	}}
	fmt.Println(meter.Check())

	// Twelve requests come at once, twice.
	host := meter.Host("example.com:80")
	for range 2 {
		for range 12 {
			host.Lease(time.Now(), true)
		}
		for range 12 {
			host.Return(time.Now(), time.Time{})
		}
	}
	s := meter.Snapshot()
	fmt.Println("dials:", s.WouldDial)
	fmt.Println("TIME_WAITs:", s.WouldHave)
	// Output:
	// metrics: invalid Meter.Ghosts[1], named "net_http_default": the name is that of a model which every Meter has
	// dials: map[before:14 net_http_default:22 per_request:24]
	// TIME_WAITs: map[before:4 net_http_default:20 per_request:24]
}
