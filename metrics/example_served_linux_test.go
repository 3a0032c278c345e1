package metrics_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// A server counts what it accepts in a Meter. The debug page and the collectors
// take such a Meter as they take a pool's.
func ExampleMeter_Listener() {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	var (
		closer linger.Closer
		meter  metrics.Meter
	)
	srv := &http.Server{Handler: http.NotFoundHandler()}
	go srv.Serve(meter.Listener(closer.Listener(inner)))

	resp, err := http.Get("http://" + inner.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()

	srv.Shutdown(context.Background())    // closes the connections
	closer.Shutdown(context.Background()) // waits for their endings
	s := meter.Snapshot()
	fmt.Println("accepted:", s.Born, "left:", s.Busy+s.Leaving)
	fmt.Println("TIME_WAITs:", s.TimeWaits)
	// Output:
	// accepted: 1 left: 0
	// TIME_WAITs: 0
}
