package linger_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/lastack/lastack/linger"
)

// A tally counts the connections that a server has paid for.
type tally struct{ ended, paid atomic.Int64 }

func (t *tally) count(e linger.Ending) {
	t.ended.Add(1)
	if e == linger.LocalFirst {
		t.paid.Add(1)
	}
}

func (t *tally) String() string {
	return fmt.Sprintf("%d ended, %d TIME_WAITs", t.ended.Load(), t.paid.Load())
}

var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, "hello over", r.Proto)
})

// ask makes one request.
func ask(tr http.RoundTripper, url string) {
	resp, err := (&http.Client{Transport: tr}).Get(url)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(body))
}

// A program that makes its connections itself has a Closer end them.
func ExampleCloser() {
	client, server := pair()
	ended := make(chan linger.Ending, 1)
	closer := &linger.Closer{Ended: func(e linger.Ending) { ended <- e }}

	conn := closer.Conn(client) // a net.Conn in the place of the other
	server.Close()
	io.ReadAll(conn) // until the server's FIN
	conn.Close()
	fmt.Println(<-ended)
	// Output: peer_first
}

// A look before a resting connection is used again.
func ExampleConn_Pending() {
	client, server := pair()
	var closer linger.Closer
	conn := closer.Conn(client)
	defer conn.Close()

	server.Close()
	for range time.Tick(time.Millisecond) { // the FIN takes a moment
		if data, closed := conn.Pending(); data || closed {
			fmt.Println("data:", data, "closed:", closed)
			break
		}
	}
	// Output: data: false closed: true
}

// A program that serves ends in this order: the server stops accepting,
// finishes its requests and closes its connections; then the farewells come to
// their ends; then the program may exit.
func ExampleCloser_Listener() {
	var tally tally
	closer := &linger.Closer{Ended: tally.count}
	l := closer.Listener(listen())

	srv := &http.Server{Handler: hello}
	go srv.Serve(l)
	ask(new(http.Transport), "http://"+l.Addr().String())

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	if err := closer.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(&tally)
	// Output:
	// hello over HTTP/1.1
	// 1 ended, 0 TIME_WAITs
}

// TLS goes over the listener, not under it: the farewell begins when the layer
// above has said its own goodbye (close_notify) and closes what lies below.
func ExampleCloser_Listener_tls() {
	var tally tally
	closer := &linger.Closer{Ended: tally.count}

	srv := httptest.NewUnstartedServer(hello)
	srv.Listener.Close()
	srv.Listener = closer.Listener(listen())
	srv.EnableHTTP2 = true // over TLS, where it is negotiated
	srv.StartTLS()         // or http.Server.ServeTLS with the listener
	ask(srv.Client().Transport, srv.URL)

	srv.Config.Shutdown(context.Background())
	closer.Shutdown(context.Background())
	fmt.Println(&tally)
	// Output:
	// hello over HTTP/2.0
	// 1 ended, 0 TIME_WAITs
}

// HTTP/2 without TLS has a goodbye of its own, GOAWAY, which net/http's server
// says when it is shut down.
func ExampleCloser_Listener_plaintextHTTP2() {
	var tally tally
	closer := &linger.Closer{Ended: tally.count}
	l := closer.Listener(listen())

	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: hello, Protocols: protocols}
	go srv.Serve(l)
	ask(&http.Transport{Protocols: protocols}, "http://"+l.Addr().String())

	srv.Shutdown(context.Background())
	closer.Shutdown(context.Background())
	fmt.Println(&tally)
	// Output:
	// hello over HTTP/2.0
	// 1 ended, 0 TIME_WAITs
}

// With gRPC, GracefulStop comes before the Closer's Shutdown.
func ExampleCloser_Listener_grpc() {
	var tally tally
	closer := &linger.Closer{Ended: tally.count}
	l := closer.Listener(listen())

	srv := grpc.NewServer()
	healthpb.RegisterHealthServer(srv, health.NewServer())
	go srv.Serve(l)

	cc, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer cc.Close()
	resp, err := healthpb.NewHealthClient(cc).Check(context.Background(), new(healthpb.HealthCheckRequest))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.Status)

	srv.GracefulStop()
	closer.Shutdown(context.Background())
	fmt.Println(&tally)
	// Output:
	// SERVING
	// 1 ended, 0 TIME_WAITs
}

// A connection that somebody else goes on with, such as another process, is
// his to end.
func ExampleConn_File() {
	client, server := pair()
	closer := &linger.Closer{Ended: func(e linger.Ending) { fmt.Println("ended:", e) }}
	conn := closer.Conn(server)
	file, err := conn.File()
	if err != nil {
		log.Fatal(err)
	}
	conn.Close()
	closer.Shutdown(context.Background())

	heir, err := net.FileConn(file) // in the other process
	if err != nil {
		log.Fatal(err)
	}
	file.Close()
	fmt.Fprint(heir, "still here")
	heir.Close()
	said, err := io.ReadAll(client)
	fmt.Println(string(said), err)
	// Output:
	// ended: unknown
	// still here <nil>
}
