package prom_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/prom"
	"github.com/lastack/lastack/pool"
)

var counted = regexp.MustCompile(`_(total|count|sum)\{`)

// A counter that falls is read as one that began anew, and all it has ever
// counted as an increase. So none does, whatever goes on during the scrapes, on
// more hosts than are told apart.
func TestCountersOnlyGrow(t *testing.T) {
	var servers []*httptest.Server
	for i := range 4 {
		n := 0
		var mu sync.Mutex
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if n++; n%(i+2) == 0 {
				w.Header().Set("Connection", "close")
			}
			fmt.Fprint(w, "hello")
		}))
		defer server.Close()
		servers = append(servers, server)
	}
	tr := &pool.Transport{Meter: &metrics.Meter{Ghosts: []metrics.Ghost{{Name: "one", MaxIdlePerHost: 1, IdleTimeout: time.Millisecond}}}}
	defer tr.Shutdown(t.Context())
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(prom.NewCollector(tr.Stats, prom.MaxHosts(2)))

	done := make(chan struct{})
	var load sync.WaitGroup
	for i := range 4 {
		load.Go(func() {
			for n := range 60 {
				get(t, tr, servers[(n/10+i)%len(servers)].URL)
				if n%20 == i {
					tr.CloseIdleConnections()
				}
			}
		})
	}
	go func() {
		load.Wait()
		close(done)
	}()
	defer func() { <-done }()

	before := scrape(t, r)
	for scrapes, busy := 1, true; busy; scrapes++ {
		select {
		case <-done:
			busy = false // once more, when all is over
			t.Logf("%d scrapes, %d series", scrapes, len(before))
		default:
		}
		now := scrape(t, r)
		for series, was := range before {
			if !counted.MatchString(series) {
				continue
			}
			if is, ok := now[series]; !ok || is < was {
				t.Fatalf("%s was %v and is %v (%v)", series, was, is, ok)
			}
		}
		before = now
	}
}
