package dialer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"time"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// A program that keeps its http.Transport changes nothing but DialContext.
func Example() {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()

	d := &dialer.Dialer{Meter: &metrics.Meter{}}
	transport := &http.Transport{DialContext: d.DialContext}
	client := &http.Client{Transport: transport}
	resp, err := client.Get(srv.URL)
	if err != nil {
		log.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()

	transport.CloseIdleConnections()
	d.Shutdown(context.Background()) // until the connections have ended
	s := d.Meter.Snapshot()
	fmt.Println(s.Born, "connection; balance:", s.Balance())
	// Output: 1 connection; balance: <nil>
}

// All of it is optional: the zero Dialer is ready.
func ExampleDialer() {
	d := &dialer.Dialer{
		Net: net.Dialer{
			Timeout:         5 * time.Second,
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
		},
		Sources:     []netip.Addr{netip.MustParseAddr("10.0.0.8"), netip.MustParseAddr("10.0.0.9")}, // twice the ports
		UserTimeout: 20 * time.Second,
		Linger:      &linger.Closer{Policy: linger.Policy{Fallback: linger.Abort}},
	}
	defer d.Shutdown(context.Background())
}

// DialContext fits wherever a net.Dialer's does.
func ExampleDialer_DialContext() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			io.WriteString(c, "hello\n")
			c.Close()
		}
	}()

	d := &dialer.Dialer{}
	c, err := d.DialContext(context.Background(), "tcp", l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	io.Copy(os.Stdout, c)
	c.Close() // does not wait
	d.Shutdown(context.Background())
	// Output: hello
}

// Closer is what a program waits for that wraps connections of its own as well.
func ExampleDialer_Closer() {
	d := &dialer.Dialer{}
	fmt.Println(d.Closer().Policy.Fallback == linger.FinThenReset)
	// Output: true
}

// Shutdown waits for goodbyes; it closes nothing.
func ExampleDialer_Shutdown() {
	d := &dialer.Dialer{}
	// … connections are made, used and closed …
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println(d.Shutdown(ctx))
	// Output: <nil>
}

// Where the ports come from, and the error when there is none left.
func ExampleError() {
	d := &dialer.Dialer{Ports: dialer.PortRange{Lo: 40000, Hi: 40999}}
	_, err := d.DialContext(context.Background(), "tcp", "service.internal:443")
	if e, ok := errors.AsType[*dialer.Error](err); ok && errors.Is(err, dialer.ErrPortsExhausted) {
		log.Print(e) // names the destination, the range, who has the ports, and what to do
	}
}

func ExamplePortRange() {
	r := dialer.PortRange{Lo: 40000, Hi: 40999}
	fmt.Println(r, r.Len(), r.Contains(40999), r.Contains(41000))
	// Output: 40000-40999 1000 true false
}

// Diagnose sees every program of the network namespace, not only this one.
func ExampleDiagnose() {
	report, err := dialer.Diagnose(context.Background())
	if err != nil {
		log.Print(err) // not on Linux
		return
	}
	for _, d := range report.Destinations {
		log.Printf("%d ports are left for %v", d.Left(), d.Address)
	}
	if report.RunningOut() {
		report.WriteTo(os.Stderr) // who has the ports, and what to do
	}
}
