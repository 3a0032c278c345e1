package otel_test

import (
	"context"
	"fmt"
	"net/http"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/otel"
	"github.com/lastack/lastack/pool"
)

// provider is what the program has made with OpenTelemetry's SDK.
var provider metric.MeterProvider = noop.NewMeterProvider()

// A program gives the Exporter the provider that its SDK has made, and the
// accounts of its pool; and the Meter the Exporter, which tells of distributions.
func Example() {
	meter := new(metrics.Meter)
	exporter, err := otel.New(provider, meter.Snapshot, otel.Pool("payments"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer exporter.Shutdown(context.Background())
	meter.Observer = exporter

	client := &http.Client{Transport: &pool.Transport{Meter: meter}}
	_ = client // is used from now on
}

// Without an Observer all is there but the distributions.
func ExampleNew() {
	transport := &pool.Transport{}
	if _, err := otel.New(provider, transport.Stats); err != nil {
		fmt.Println(err)
	}
}

// The pools of a program have names, by which dashboards tell them apart.
func ExamplePool() {
	for _, name := range []string{"payments", "search"} {
		transport := &pool.Transport{}
		if _, err := otel.New(provider, transport.Stats, otel.Pool(name)); err != nil {
			fmt.Println(err)
		}
	}
}

// A crawler goes to any number of hosts, and its series must have a bound: the
// first ten, and all others together.
func ExampleMaxHosts() {
	crawler := &pool.Transport{}
	if _, err := otel.New(provider, crawler.Stats, otel.MaxHosts(10)); err != nil {
		fmt.Println(err)
	}
}

// Where other connections than HTTP's are counted, the instruments of HTTP
// clients are left out.
func ExampleWithoutHTTP() {
	meter := new(metrics.Meter)
	redis := &dialer.Dialer{Meter: meter}
	if _, err := otel.New(provider, meter.Snapshot, otel.WithoutHTTP()); err != nil {
		fmt.Println(err)
	}
	_ = redis.DialContext // for the protocol's client
}

// A pool that ends before its program does is read no more.
func ExampleExporter_Shutdown() {
	transport := &pool.Transport{}
	exporter, err := otel.New(provider, transport.Stats)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if err := transport.Shutdown(ctx); err != nil {
		fmt.Println(err)
	}
	if err := exporter.Shutdown(ctx); err != nil {
		fmt.Println(err)
	}
}
