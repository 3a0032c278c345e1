package metrics_test

import (
	"context"
	"log"

	"github.com/lastack/lastack/metrics"
)

// Of the sockets of all programs, those of one's own: whose TIME_WAITs are these?
func ExampleMeter_Census() {
	var meter metrics.Meter // that of a Transport or a Dialer
	sockets, err := meter.Census(context.Background())
	if err != nil {
		log.Print(err) // not on Linux
		return
	}
	log.Printf("%d of the %d TIME_WAITs here are this program's", sockets.Ours["time_wait"], sockets.ByState["time_wait"])
}
