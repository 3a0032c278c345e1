package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// A server serves what l accepts until it is shut down.
type server struct {
	name  string
	serve func(l net.Listener) (shutdown func(context.Context) error)
	work  func(ctx context.Context, address string) (done func(), err error) // of its clients
}

var servers = []server{
	{"net/http, Shutdown", serveHTTP, callHTTP},
	{"grpc-go, GracefulStop", serveGRPC, callGRPC},
}

func serveHTTP(l net.Listener) (shutdown func(context.Context) error) {
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Write([]byte("hello\n"))
		}),
		ReadHeaderTimeout: 10 * time.Second,
	}
	go srv.Serve(l)
	return srv.Shutdown
}

func serveGRPC(l net.Listener) (shutdown func(context.Context) error) {
	srv := grpc.NewServer()
	healthpb.RegisterHealthServer(srv, health.NewServer())
	go srv.Serve(l)
	return func(ctx context.Context) error {
		defer context.AfterFunc(ctx, srv.Stop)() // calls have as long as ctx allows
		srv.GracefulStop()
		return ctx.Err()
	}
}

// ended is all that a program adds: the listener is wrapped, and when the server
// has shut down, and so has closed its connections, the Closer is waited for. The
// Meter is there for who wants to know how they ended.
func ended(serve func(net.Listener) func(context.Context) error, meter *metrics.Meter) func(net.Listener) func(context.Context) error {
	return func(l net.Listener) func(context.Context) error {
		closer := &linger.Closer{}
		shutdown := serve(meter.Listener(closer.Listener(l)))
		return func(ctx context.Context) error {
			return errors.Join(shutdown(ctx), closer.Shutdown(ctx)) // in this order
		}
	}
}
