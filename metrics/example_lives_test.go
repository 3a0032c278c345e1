package metrics_test

import (
	"fmt"
	"time"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// What the newest connections did, for whoever asks what happened just now. A
// pool.Transport or a dialer.Dialer records all this by itself.
func ExampleMeter_Lives() {
	var meter metrics.Meter
	host := meter.Host("example.com:443")
	c := host.Born(true)
	for range 2 {
		c.Busy()
		c.Leased(time.Now())
		c.Rest()
	}
	c.Leave(metrics.IdleTimeout)
	c.Ended(linger.PeerFirst, false)
	other := host.Born(true)

	for _, l := range meter.Lives() {
		if l.Gone.IsZero() {
			fmt.Printf("%s: %d requests so far\n", l.Host, l.Requests)
			continue
		}
		fmt.Printf("%s: %d requests, the last %d of them at known times; left for %s, ended %v\n", l.Host, l.Requests, len(l.Uses), l.Reason, l.Ending)
	}
	other.Ended(linger.Lost, false)
	// Unordered output:
	// example.com:443: 2 requests, the last 2 of them at known times; left for idle_timeout, ended peer_first
	// example.com:443: 0 requests so far
}

// What is wrong, in plain sentences, if something is.
func ExampleHostSnapshot_Advice() {
	var meter metrics.Meter
	host := meter.Host("example.com:443")
	host.Leak("fetch.go:42 example.com/app.fetch") // as a pool says that has found one
	for _, h := range meter.Snapshot().Hosts {
		for _, sentence := range h.Advice() {
			fmt.Printf("%s: %s\n", h.Name, sentence)
		}
	}
	// Output:
	// example.com:443: The program never closed 1 response body (fetch.go:42 example.com/app.fetch 1). The pool has closed them, late. Close each body, also where an error is returned after the response.
}
