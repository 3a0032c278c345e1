package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// callHTTP makes a request by each of as many clients, whose connections then
// rest: it is the server that will close them. One client would make more
// connections than it uses, for which Shutdown waits for five seconds.
func callHTTP(ctx context.Context, address string) (done func(), err error) {
	transports := make([]*http.Transport, conns)
	for i := range transports {
		transports[i] = &http.Transport{}
	}
	done = func() {
		for _, t := range transports {
			t.CloseIdleConnections()
		}
	}
	return done, together(func(i int) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address, nil)
		if err != nil {
			return err
		}
		resp, err := transports[i].RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	})
}

// callGRPC makes a call on each of as many channels, which stay open.
func callGRPC(ctx context.Context, address string) (done func(), err error) {
	channels := make([]*grpc.ClientConn, conns)
	done = func() {
		for _, cc := range channels {
			if cc != nil {
				cc.Close()
			}
		}
	}
	return done, together(func(i int) (err error) {
		channels[i], err = grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		_, err = healthpb.NewHealthClient(channels[i]).Check(ctx, &healthpb.HealthCheckRequest{})
		return err
	})
}

// together calls f once for each connection, all at the same time.
func together(f func(i int) error) error {
	errs := make([]error, conns)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
