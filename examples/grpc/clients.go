package main

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/pool/grpcpool"
)

// A channel is what calls go through.
type channel interface {
	grpc.ClientConnInterface
	Close() error
}

// A client makes channels.
type client struct {
	name string
	open func(target string, creds credentials.TransportCredentials) (channel, error)

	// end waits until its closed connections have ended; nil: not to be known.
	end   func(context.Context) error
	stats func() metrics.Snapshot // nil: it keeps no account
}

// clients are all that are compared, made anew for each scene.
var clients = []func() client{stock, withDialOptions, pooled}

// stock is what every program does.
func stock() client {
	return client{name: "grpc.NewClient", open: func(target string, creds credentials.TransportCredentials) (channel, error) {
		return grpc.NewClient(target, grpc.WithTransportCredentials(creds))
	}}
}

// withDialOptions adds our options. All its channels share one Dialer, which a
// program needs only if it wants to count connections, or to wait at its end
// until they have ended; otherwise grpcpool.DialOptions(nil) is enough.
func withDialOptions() client {
	d := &dialer.Dialer{Meter: &metrics.Meter{}}
	open := func(target string, creds credentials.TransportCredentials) (channel, error) {
		return grpc.NewClient(target, append(grpcpool.DialOptions(d), grpc.WithTransportCredentials(creds))...)
	}
	return client{"with grpcpool.DialOptions", open, d.Shutdown, d.Meter.Snapshot}
}

// pooled is for programs with more calls than one connection carries: its
// channels are as many connections as their calls need.
func pooled() client {
	d := &dialer.Dialer{Meter: &metrics.Meter{}}
	open := func(target string, creds credentials.TransportCredentials) (channel, error) {
		return grpcpool.NewClient(target, grpcpool.Config{Credentials: creds, Dialer: d})
	}
	return client{"grpcpool.NewClient", open, d.Shutdown, d.Meter.Snapshot}
}
