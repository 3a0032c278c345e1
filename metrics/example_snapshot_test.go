package metrics_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// One Meter for all transports of a program, which then has one set of accounts.
func ExampleMeter() {
	var meter metrics.Meter
	a, b := meter.Host("a.example:443"), meter.Host("b.example:443")
	a.Request()
	a.Request()
	b.Request()
	for _, h := range meter.Snapshot().Hosts {
		fmt.Println(h.Name, h.Requests)
	}
	// Output:
	// a.example:443 2
	// b.example:443 1
}

// The name of a host leads to the same ledger every time.
func ExampleMeter_Host() {
	var meter metrics.Meter
	first, again := meter.Host("example.com:443"), meter.Host("example.com:443")
	fmt.Println(first == again)
	// Output: true
}

// A Snapshot is plain numbers, and may be taken at any time.
func ExampleMeter_Snapshot() {
	var meter metrics.Meter
	host := meter.Host("example.com:443")
	why := host.DialStart(metrics.AllBusy)
	host.DialDone(metrics.Dial{Reason: why, Total: time.Millisecond})
	conn := host.Born(true)
	conn.Leave(metrics.IdleTimeout)
	conn.Ended(linger.FinReset, false)

	s := meter.Snapshot()
	fmt.Println(s.Born, "born,", s.Ended[linger.FinReset], "ended by FIN and reset,", s.TimeWaits, "TIME_WAITs")
	// Output: 1 born, 1 ended by FIN and reset, 0 TIME_WAITs
}

// Every test of a program that counts can end with the balance.
func ExampleSnapshot_Balance() {
	var meter metrics.Meter
	meter.Host("example.com:443").Born(true)

	s := meter.Snapshot()
	fmt.Println(s.Balance())
	s.Born++ // as if one had been lost
	fmt.Println(s.Balance())
	// Output:
	// <nil>
	// metrics: in all: 2 connections born, but 1 accounted for: 0 resting, 1 busy, 0 leaving, 0 ended
}

// Census counts the sockets of all programs.
func ExampleCensus() {
	sockets, err := metrics.Census(context.Background())
	if err != nil {
		log.Print(err) // not on Linux
		return
	}
	for to, states := range sockets.ByDestination {
		if n := states["time_wait"]; n > 1000 {
			log.Printf("%d TIME_WAITs to %v", n, to)
		}
	}
}
