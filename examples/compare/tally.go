package main

import (
	"slices"
	"sync"
	"time"
)

// A tally is what became of the requests of one row.
type tally struct {
	mu       sync.Mutex
	took     []time.Duration // requests that went well, bodies included
	failures int
	first    error // of the failures, and of the end of the client
}

func (t *tally) add(took time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.took = append(t.took, took)
		return
	}
	t.failures++
	if t.first == nil {
		t.first = err
	}
}

// fail notes what went wrong besides requests.
func (t *tally) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == nil {
		t.first = err
	}
}

// done returns how many requests are done, well or not.
func (t *tally) done() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.took) + t.failures
}

// percentile returns the time within which p percent of the requests went well,
// or 0 if none did.
func (t *tally) percentile(p int) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.took) == 0 {
		return 0
	}
	slices.Sort(t.took)
	return t.took[max(0, (len(t.took)*p+99)/100-1)]
}
