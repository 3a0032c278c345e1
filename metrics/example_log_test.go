package metrics_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/lastack/lastack/metrics"
)

// A service writes down each minute what its connections have done. The goroutine
// is its own, and ends with its context.
func ExampleMeter_Log() {
	var meter metrics.Meter // a Transport's, for one
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // at once, so that the example ends

	few := func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case slog.LevelKey, slog.MessageKey, "requests", "time_waits", "would_have":
			return a
		}
		return slog.Attr{}
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: few}))
	meter.Log(ctx, logger, time.Minute)
	// Output: level=INFO msg=connections requests=0 time_waits=0 would_have=0
}

// The kernel is asked whether it says the same.
func ExampleMeter_Reconcile() {
	var meter metrics.Meter
	r, err := meter.Reconcile(context.Background())
	switch {
	case err != nil:
		log.Println("the kernel does not tell:", err) // on other systems than Linux, for one
	case !r.Agrees:
		fmt.Println("the accounts are wrong:", r.Why)
	}
	fmt.Println(meter.Snapshot().Kernel == r)
	// Output: true
}
