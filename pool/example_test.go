package pool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/pool"
)

// A service that calls another one: one Transport for the whole program, any
// number of requests at once, and Shutdown before the program ends.
func Example() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello")
	}))
	defer srv.Close()

	transport := &pool.Transport{}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	for range 3 {
		resp, err := client.Get(srv.URL)
		if err != nil {
			fmt.Println(err)
			return
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if err := transport.Shutdown(context.Background()); err != nil {
		fmt.Println(err)
	}

	s := transport.Stats()
	fmt.Println(s.Requests, "requests on", s.Born, "connection")
	// Output: 3 requests on 1 connection
}

// A program that has tuned an http.Transport keeps its settings.
func ExampleTransport() {
	tuned := http.DefaultTransport.(*http.Transport).Clone()
	tuned.TLSHandshakeTimeout = 3 * time.Second
	tuned.MaxIdleConns, tuned.MaxIdleConnsPerHost = 0, 0 // connections leave by time, not by number

	client := &http.Client{Transport: &pool.Transport{
		Base:            tuned,
		MaxConnsPerHost: 100,              // more requests wait, first come, first served
		MaxAge:          10 * time.Minute, // follows DNS
	}}
	defer client.CloseIdleConnections()
}

// Where the events of connections are wanted one by one.
func ExampleTransport_events() {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()

	transport := &pool.Transport{Events: func(e pool.Event) {
		switch e.Kind { // Events come from several goroutines, in the order in which things happen to one connection
		case pool.Born, pool.Leased, pool.Returned:
			fmt.Println(e.Kind, "connection", e.Conn)
		case pool.Leaving:
			fmt.Println(e.Kind, "connection", e.Conn, "for", e.Reason)
		}
	}}
	resp, err := (&http.Client{Transport: transport}).Get(srv.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	transport.Shutdown(context.Background())
	// Output:
	// born connection 1
	// leased connection 1
	// returned connection 1
	// leaving connection 1 for shutdown
}

// RoundTrip is for programs without an http.Client: proxies, for instance, which
// must not follow redirects.
func ExampleTransport_RoundTrip() {
	srv := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	defer srv.Close()
	transport := &pool.Transport{}
	defer transport.Shutdown(context.Background())

	req, err := http.NewRequest(http.MethodGet, srv.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode, resp.Header.Get("Location"))
	// Output: 302 /elsewhere
}

// The connections are there before the first requests are.
func ExampleTransport_Warm() {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	transport := &pool.Transport{}
	defer transport.Shutdown(context.Background())

	if err := transport.Warm(context.Background(), srv.URL, 8); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(transport.Stats().Resting, "connections rest")
	// Output: 8 connections rest
}

// What was done, and what the same requests would have left without the pool.
func ExampleTransport_Stats() {
	var together sync.WaitGroup
	together.Add(5)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		together.Done()
		together.Wait() // so that the requests need five connections
	}))
	defer srv.Close()
	transport := &pool.Transport{}
	client := &http.Client{Transport: transport}
	var calls sync.WaitGroup
	for range 5 {
		calls.Go(func() {
			if resp, err := client.Get(srv.URL); err == nil {
				resp.Body.Close()
			}
		})
	}
	calls.Wait()
	transport.Shutdown(context.Background())

	s := transport.Stats()
	fmt.Println("requests:", s.Requests)
	fmt.Println("connections:", s.Born)
	fmt.Println("TIME_WAITs with a connection for each request:", s.WouldHave[metrics.PerRequest])
	fmt.Println("the accounts balance:", s.Balance() == nil)
	// Output:
	// requests: 5
	// connections: 5
	// TIME_WAITs with a connection for each request: 5
	// the accounts balance: true
}

// Shutdown waits for requests and for goodbyes. What it does not wait for goes on
// by itself.
func ExampleTransport_Shutdown() {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	transport := &pool.Transport{}
	client := &http.Client{Transport: transport}
	resp, err := client.Get(srv.URL)
	if err != nil {
		fmt.Println(err)
		return
	}

	// The body is open: its connection is busy.
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	err = transport.Shutdown(ctx)
	cancel()
	if e, ok := errors.AsType[*pool.ShutdownError](err); ok {
		fmt.Println("connections that are busy:", e.Conns)
	}

	resp.Body.Close()
	fmt.Println("once more:", transport.Shutdown(context.Background()))
	_, err = client.Get(srv.URL)
	fmt.Println("no more requests:", errors.Is(err, pool.ErrClosed))
	// Output:
	// connections that are busy: 1
	// once more: <nil>
	// no more requests: true
}

// The connections that rest leave; the pool goes on.
func ExampleTransport_CloseIdleConnections() {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	transport := &pool.Transport{}
	defer transport.Shutdown(context.Background())
	if err := transport.Warm(context.Background(), srv.URL, 4); err != nil {
		fmt.Println(err)
		return
	}
	transport.CloseIdleConnections()
	fmt.Println(transport.Stats().Resting, "connections rest")
	// Output: 0 connections rest
}

// Only the connections to one host leave, as when it is known to be going down.
func ExampleTransport_CloseIdleHost() {
	one := httptest.NewServer(http.NotFoundHandler())
	defer one.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	transport := &pool.Transport{}
	defer transport.Shutdown(context.Background())
	for _, srv := range []*httptest.Server{one, other} {
		if err := transport.Warm(context.Background(), srv.URL, 2); err != nil {
			fmt.Println(err)
			return
		}
	}
	transport.CloseIdleHost(strings.TrimPrefix(one.URL, "http://"))
	fmt.Println(transport.Stats().Resting, "connections rest")
	// Output: 2 connections rest
}

// HTTP/2 connections are sent PING when nothing has come for a while, and
// resting HTTP/1.1 connections a request that costs the server nothing.
func ExamplePingConfig() {
	transport := &pool.Transport{Ping: pool.PingConfig{
		Interval: 30 * time.Second,
		Timeout:  5 * time.Second,
		HTTP1:    true,
		Path:     "/healthz", // with HEAD; without a Path it is "OPTIONS *"
	}}
	defer transport.Shutdown(context.Background())
}

// Errors say what failed and unwrap to those of net/http, net and syscall.
func ExampleError() {
	srv := httptest.NewServer(http.NotFoundHandler())
	url := srv.URL
	srv.Close() // nobody listens there any more

	transport := &pool.Transport{}
	defer transport.Shutdown(context.Background())
	_, err := (&http.Client{Transport: transport}).Get(url)
	if e, ok := errors.AsType[*pool.Error](err); ok {
		fmt.Println(e.Op, e.Key.Scheme, "refused:", errors.Is(e, syscall.ECONNREFUSED))
	}
	// Output: dial http refused: true
}

// How connections have ended, each for itself; Stats has the sums.
func ExampleEvent() {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	var mu sync.Mutex
	left := map[linger.Ending]int{}
	transport := &pool.Transport{Events: func(e pool.Event) {
		if e.Kind == pool.Ended {
			mu.Lock()
			defer mu.Unlock()
			left[e.Ending]++
		}
	}}
	if err := transport.Warm(context.Background(), srv.URL, 3); err != nil {
		fmt.Println(err)
		return
	}
	transport.Shutdown(context.Background())

	mu.Lock()
	defer mu.Unlock()
	total := 0
	for ending, n := range left {
		if ending == linger.LocalFirst {
			log.Println(n, "have left a TIME_WAIT") // not on Linux
		}
		total += n
	}
	fmt.Println(total, "connections have ended")
	// Output: 3 connections have ended
}
