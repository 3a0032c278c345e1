package grpcpool_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/pool/grpcpool"
)

// serve starts a server with grpc-go's health service and returns its address.
func serve() (target string, stop func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	srv := grpc.NewServer()
	healthpb.RegisterHealthServer(srv, health.NewServer())
	go srv.Serve(l)
	return l.Addr().String(), srv.Stop
}

// check makes a call, by a stub as protoc generates it.
func check(cc grpc.ClientConnInterface) {
	answer, err := healthpb.NewHealthClient(cc).Check(context.Background(), &healthpb.HealthCheckRequest{})
	fmt.Println(answer.GetStatus(), err)
}

var creds = insecure.NewCredentials()

// A channel of grpc-go's own, ended well. The options of the program follow, so
// that they win.
func ExampleDialOptions() {
	target, stop := serve()
	defer stop()

	opts := []grpc.DialOption{grpc.WithTransportCredentials(creds)}
	cc, err := grpc.NewClient(target, append(grpcpool.DialOptions(nil), opts...)...)
	if err != nil {
		log.Fatal(err)
	}
	defer cc.Close()
	check(cc)
	// Output: SERVING <nil>
}

// Channels that share a Dialer are counted together, and waited for.
func ExampleDialOptions_dialer() {
	target, stop := serve()
	defer stop()

	d := &dialer.Dialer{Meter: &metrics.Meter{}}
	for range 3 {
		cc, err := grpc.NewClient(target, append(grpcpool.DialOptions(d), grpc.WithTransportCredentials(creds))...)
		if err != nil {
			log.Fatal(err)
		}
		check(cc)
		cc.Close()
	}
	d.Shutdown(context.Background())
	fmt.Println(d.Meter.Snapshot().Born, "connections")
	// Output:
	// SERVING <nil>
	// SERVING <nil>
	// SERVING <nil>
	// 3 connections
}

// Observe tells of each connection when it has ended.
func ExampleObserve() {
	target, stop := serve()
	defer stop()

	ended := make(chan grpcpool.Event, 1)
	opts := grpcpool.Observe(nil, func(e grpcpool.Event) { ended <- e })
	cc, err := grpc.NewClient(target, append(opts, grpc.WithTransportCredentials(creds))...)
	if err != nil {
		log.Fatal(err)
	}
	check(cc)
	check(cc)
	cc.Close()
	e := <-ended
	fmt.Println(e.Calls, "calls on a connection to", e.Address == target)
	// Output:
	// SERVING <nil>
	// SERVING <nil>
	// 2 calls on a connection to true
}

// As many channels as the calls need. Credentials belong into the Config.
func ExampleNewClient() {
	target, stop := serve()
	defer stop()

	cc, err := grpcpool.NewClient(target, grpcpool.Config{Credentials: creds})
	if err != nil {
		log.Fatal(err)
	}
	defer cc.Close()
	check(cc)
	// Output: SERVING <nil>
}

// A pool that is never cold, follows DNS, and does not grow beyond what the
// servers are to bear.
func ExampleConfig() {
	config := grpcpool.Config{
		Credentials: creds,
		MinConns:    2,
		MaxConns:    20,
		MaxAge:      10 * time.Minute,
		Prime: func(ctx context.Context, cc *grpc.ClientConn) error {
			_, err := healthpb.NewHealthClient(cc).Check(ctx, &healthpb.HealthCheckRequest{})
			return err
		},
	}
	cc, err := grpcpool.NewClient("dns:///greeter.internal:443", config)
	if err != nil {
		log.Fatal(err)
	}
	defer cc.Close()
}

// A stub that protoc has generated takes the pool in the place of a channel.
func ExampleClientConn() {
	target, stop := serve()
	defer stop()
	cc, err := grpcpool.NewClient(target, grpcpool.Config{Credentials: creds, MinConns: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer cc.Close()

	var calls sync.WaitGroup
	client := healthpb.NewHealthClient(cc)
	for range 100 {
		calls.Go(func() {
			if _, err := client.Check(context.Background(), &healthpb.HealthCheckRequest{}); err != nil {
				fmt.Println(err)
			}
		})
	}
	calls.Wait()
	fmt.Println(cc.Stats().Requests, "calls")
	// Output: 100 calls
}

// Invoke and NewStream are what stubs call.
func ExampleClientConn_Invoke() {
	target, stop := serve()
	defer stop()
	cc, err := grpcpool.NewClient(target, grpcpool.Config{Credentials: creds})
	if err != nil {
		log.Fatal(err)
	}
	defer cc.Close()

	var answer healthpb.HealthCheckResponse
	err = cc.Invoke(context.Background(), healthpb.Health_Check_FullMethodName, &healthpb.HealthCheckRequest{}, &answer)
	fmt.Println(answer.GetStatus(), err)
	// Output: SERVING <nil>
}

// A stream stays on the channel that it was begun on.
func ExampleClientConn_NewStream() {
	target, stop := serve()
	defer stop()
	cc, err := grpcpool.NewClient(target, grpcpool.Config{Credentials: creds})
	if err != nil {
		log.Fatal(err)
	}
	defer cc.Close()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel() // ends the stream
	watch, err := healthpb.NewHealthClient(cc).Watch(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		log.Fatal(err)
	}
	answer, err := watch.Recv()
	fmt.Println(answer.GetStatus(), err)
	// Output: SERVING <nil>
}

// Code that insists on a *grpc.ClientConn gets a channel beside those of the
// pool. It is closed with the pool.
func ExampleClientConn_Conn() {
	target, stop := serve()
	defer stop()
	cc, err := grpcpool.NewClient(target, grpcpool.Config{Credentials: creds})
	if err != nil {
		log.Fatal(err)
	}
	defer cc.Close()
	check(cc.Conn())
	// Output: SERVING <nil>
}

// Close cuts the calls under way, and waits for nothing.
func ExampleClientConn_Close() {
	target, stop := serve()
	defer stop()
	cc, err := grpcpool.NewClient(target, grpcpool.Config{Credentials: creds})
	if err != nil {
		log.Fatal(err)
	}
	check(cc)
	fmt.Println(cc.Close())
	fmt.Println(errors.Is(cc.Close(), grpc.ErrClientConnClosing))
	// Output:
	// SERVING <nil>
	// <nil>
	// true
}

// Shutdown waits for the calls under way, and for the goodbyes.
func ExampleClientConn_Shutdown() {
	target, stop := serve()
	defer stop()
	cc, err := grpcpool.NewClient(target, grpcpool.Config{Credentials: creds})
	if err != nil {
		log.Fatal(err)
	}
	check(cc)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(cc.Shutdown(ctx))
	// Output:
	// SERVING <nil>
	// <nil>
}

// Stats counts calls and connections, as a pool.Transport does.
func ExampleClientConn_Stats() {
	target, stop := serve()
	defer stop()
	cc, err := grpcpool.NewClient(target, grpcpool.Config{Credentials: creds})
	if err != nil {
		log.Fatal(err)
	}
	check(cc)
	check(cc)
	cc.Shutdown(context.Background())

	s := cc.Stats()
	fmt.Println(s.Requests, "calls on", s.Born, "connection; balance:", s.Balance())
	// Output:
	// SERVING <nil>
	// SERVING <nil>
	// 2 calls on 1 connection; balance: <nil>
}
