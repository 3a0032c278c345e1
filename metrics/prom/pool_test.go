package prom_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/metrics/prom"
	"github.com/lastack/lastack/pool"
)

// labels returns the labels of a host, as scrape has them.
func labels(server *httptest.Server) string {
	address, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	return fmt.Sprintf("server_address=%q,server_port=%q}", address, port)
}

func get(t *testing.T, rt http.RoundTripper, url string) {
	t.Helper()
	resp, err := (&http.Client{Transport: rt}).Get(url)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
}

// A pool is scraped while it serves requests, and after. What the scrape says is
// what the pool did.
func TestPool(t *testing.T) {
	quick := httptest.NewServer(http.NotFoundHandler())
	defer quick.Close()
	arrived, release := make(chan struct{}), make(chan struct{})
	held := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	}))
	defer held.Close()

	tr := &pool.Transport{}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(prom.NewCollector(tr.Stats, prom.Pool("test")))

	for range 5 {
		get(t, tr, quick.URL)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { get(t, tr, held.URL) })
	}
	for range 3 {
		<-arrived
	}
	a, b := labels(quick), labels(held)
	const pool = `lastack_pool_name="test",`
	compare(t, r, map[string]float64{
		"lastack_requests_total{" + pool + a:                                                            5,
		"lastack_requests_total{" + pool + b:                                                            3,
		`lastack_connection_acquires_total{lastack_acquire_source="new",` + pool + a:                    1,
		`lastack_connection_acquires_total{lastack_acquire_source="reused",` + pool + a:                 4,
		`http_client_open_connections{http_connection_state="idle",` + pool + a:                         1,
		`http_client_open_connections{http_connection_state="active",` + pool + a:                       0,
		`http_client_open_connections{http_connection_state="idle",` + pool + b:                         0,
		`http_client_open_connections{http_connection_state="active",` + pool + b:                       3,
		"lastack_connection_created_total{" + pool + b:                                                  3,
		"lastack_connection_dial_errors_total{" + pool + b:                                              0,
		"lastack_connection_active_dials{" + pool + b:                                                   0,
		"http_client_active_requests{" + pool + a:                                                       0,
		"http_client_active_requests{" + pool + b:                                                       3,
		`lastack_connection_dials_total{lastack_dial_reason="cold",` + pool + a:                         1,
		"lastack_connection_create_time_seconds_count{" + pool + a:                                      1,
		`lastack_connection_dial_phase_duration_seconds_count{lastack_dial_phase="connect",` + pool + a: 1,
		"lastack_connection_use_time_seconds_count{" + pool + a:                                         5,
	})
	close(release)
	wg.Wait()
	if err := tr.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"lastack_connection_created_total{" + pool + b:                                  3,
		"http_client_active_requests{" + pool + b:                                       0,
		"http_client_connection_duration_seconds_count{" + pool + b:                     3,
		"lastack_connection_requests_count{" + pool + a:                                 1,
		"lastack_connection_requests_sum{" + pool + a:                                   5,
		"lastack_connection_use_time_seconds_count{" + pool + b:                         3,
		`lastack_connection_left_total{lastack_leave_reason="shutdown",` + pool + b:     3,
		`lastack_open_connections{lastack_connection_state="active",` + pool + b:        0,
		`lastack_open_connections{lastack_connection_state="idle",` + pool + b:          0,
		`lastack_open_connections{lastack_connection_state="leaving",` + pool + b:       0,
		`lastack_connection_acquires_total{lastack_acquire_source="reused",` + pool + b: 0,
	}
	if runtime.GOOS == "linux" {
		want["lastack_time_wait_created_total{"+pool+b] = 0
	}
	compare(t, r, want)
	ended := 0.0
	for series, n := range scrape(t, r) {
		if strings.HasPrefix(series, "lastack_connection_closed_total{") {
			ended += n
		}
	}
	if ended != 4 {
		t.Errorf("%v connections ended, want 4", ended)
	}
}

// compare waits until a scrape says what is wanted: a connection comes to rest a
// moment after its response has been read.
func compare(t *testing.T, r prometheus.Gatherer, want map[string]float64) {
	t.Helper()
	var wrong []string
	defer func() {
		if t.Failed() {
			t.Log(strings.Join(wrong, "\n"))
		}
	}()
	netlab.Eventually(t, 10*time.Second, "a scrape that says what the pool did", func() bool {
		got := scrape(t, r)
		wrong = wrong[:0]
		for series, n := range want {
			if v, ok := got[series]; !ok || v != n {
				wrong = append(wrong, fmt.Sprintf("%s is %v (%v), want %v", series, v, ok, n))
			}
		}
		return len(wrong) == 0
	})
}
