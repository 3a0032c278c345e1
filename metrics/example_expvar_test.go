package metrics_test

import (
	"encoding/json"
	"expvar"
	"fmt"

	"github.com/lastack/lastack/metrics"
)

// A Snapshot marshals to JSON, so one line publishes the accounts under
// /debug/vars. Package metrics does not do it by itself: whoever imports expvar
// gets that page.
func ExampleMeter_Snapshot_expvar() {
	var meter metrics.Meter // a Transport's, for one
	expvar.Publish("connections", expvar.Func(func() any { return meter.Snapshot() }))

	meter.Host("example.com:443").Request()
	var read struct {
		Requests int
		Hosts    []struct{ Name string }
	}
	err := json.Unmarshal([]byte(expvar.Get("connections").String()), &read)
	fmt.Println(read, err)
	// Output: {1 [{example.com:443}]} <nil>
}
