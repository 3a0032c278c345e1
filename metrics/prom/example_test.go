package prom_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/prom"
	"github.com/lastack/lastack/pool"
)

// A program that has a registry, and a handler for Prometheus, registers one
// Collector for each of its pools.
func Example() {
	transport := &pool.Transport{}
	registry := prometheus.NewRegistry()
	registry.MustRegister(prom.NewCollector(transport.Stats, prom.Pool("payments")))
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))

	// The pool is used …
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	client := &http.Client{Transport: transport}
	for range 3 {
		resp, err := client.Get(server.URL)
		if err != nil {
			fmt.Println(err)
			return
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}

	// … and scraped.
	scrape := httptest.NewRecorder()
	mux.ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(scrape.Body.String()) {
		if strings.HasPrefix(line, "lastack_connection_acquires_total{") {
			source, _, _ := strings.Cut(line, ",")
			fmt.Println(source, "…", line[len(line)-2:len(line)-1])
		}
	}
	// Output:
	// lastack_connection_acquires_total{lastack_acquire_source="new" … 1
	// lastack_connection_acquires_total{lastack_acquire_source="reused" … 2
}

// Whatever has a Meter has accounts to export: here a Dialer, for a protocol of
// the program's own.
func ExampleNewCollector() {
	meter := new(metrics.Meter)
	redis := &dialer.Dialer{Meter: meter}
	registry := prometheus.NewRegistry()
	registry.MustRegister(prom.NewCollector(meter.Snapshot, prom.WithoutHTTP()))

	_ = redis.DialContext // for the protocol's client
}

// The pools of a program have names, by which dashboards tell them apart.
func ExamplePool() {
	registry := prometheus.NewRegistry()
	for _, name := range []string{"payments", "search"} {
		transport := &pool.Transport{}
		registry.MustRegister(prom.NewCollector(transport.Stats, prom.Pool(name)))
	}
}

// A crawler goes to any number of hosts, and its series must have a bound: the
// first ten, and all others together.
func ExampleMaxHosts() {
	meter := new(metrics.Meter)
	for i := range 1000 {
		meter.Host(fmt.Sprintf("%d.example.com:443", i)).Request()
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(prom.NewCollector(meter.Snapshot, prom.MaxHosts(10)))

	families, err := registry.Gather()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range families {
		if f.GetName() == "lastack_requests_total" {
			fmt.Println(len(f.Metric), "series")
		}
	}
	// Output: 11 series
}

// Where other connections than HTTP's are counted, the metrics of HTTP clients
// are left out.
func ExampleWithoutHTTP() {
	meter := new(metrics.Meter)
	meter.Host("redis.example.com:6379").Request()
	registry := prometheus.NewRegistry()
	registry.MustRegister(prom.NewCollector(meter.Snapshot, prom.WithoutHTTP()))

	families, err := registry.Gather()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "http_") {
			fmt.Println(f.GetName())
		}
	}
	// Output:
}
