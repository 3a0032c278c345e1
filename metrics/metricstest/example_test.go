package metricstest_test

import (
	"testing"

	"github.com/lastack/lastack/metrics/metricstest"
	"github.com/lastack/lastack/pool"
)

// A test of a client fails when the client's connections leave a TIME_WAIT.
func ExampleNoTimeWait() {
	_ = func(t *testing.T) {
		tr := new(pool.Transport)
		metricstest.NoTimeWait(t, tr)
		// … use a client with this Transport …
	}
}

// A test of a client fails when the client forgets to close a body.
func ExampleNoLeaks() {
	_ = func(t *testing.T) {
		tr := new(pool.Transport)
		metricstest.NoLeaks(t, tr)
		// … use a client with this Transport …
	}
}

// A benchmark says how many TIME_WAITs an operation costs, beside its time.
func ExampleReportTimeWaits() {
	_ = func(b *testing.B) {
		tr := new(pool.Transport)
		metricstest.ReportTimeWaits(b, tr)
		for b.Loop() {
			// … use a client with this Transport …
		}
	}
}
