package grpcinterop

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// A testcase is one of those of interop/client, under the same name.
type testcase struct {
	name string
	run  func(ctx context.Context, c *client)
}

// of makes a testcase of a function that takes a stub.
func of(name string, do func(context.Context, testgrpc.TestServiceClient)) testcase {
	return testcase{name: name, run: func(ctx context.Context, c *client) {
		do(ctx, testgrpc.NewTestServiceClient(c.open().cc))
	}}
}

// plain drops the options, of which we have none.
func plain(do func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)) func(context.Context, testgrpc.TestServiceClient) {
	return func(ctx context.Context, tc testgrpc.TestServiceClient) { do(ctx, tc) }
}

var testcases = []testcase{
	of("empty_unary", plain(interop.DoEmptyUnaryCall)),
	of("large_unary", plain(interop.DoLargeUnaryCall)),
	of("client_streaming", plain(interop.DoClientStreaming)),
	of("server_streaming", plain(interop.DoServerStreaming)),
	of("ping_pong", plain(interop.DoPingPong)),
	of("empty_stream", plain(interop.DoEmptyStream)),
	of("timeout_on_sleeping_server", plain(interop.DoTimeoutOnSleepingServer)),
	of("cancel_after_begin", plain(interop.DoCancelAfterBegin)),
	of("cancel_after_first_response", plain(interop.DoCancelAfterFirstResponse)),
	of("custom_metadata", plain(interop.DoCustomMetadata)),
	of("status_code_and_message", plain(interop.DoStatusCodeAndMessage)),
	of("special_status_message", plain(interop.DoSpecialStatusMessage)),
	of("pick_first_unary", interop.DoPickFirstUnary),
	of("orca_per_rpc", interop.DoORCAPerRPCTest),
	of("orca_oob", interop.DoORCAOOBTest),
	{name: "unimplemented_service", run: func(ctx context.Context, c *client) {
		interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(c.open().cc))
	}},
	{name: "unimplemented_method", run: func(ctx context.Context, c *client) {
		interop.DoUnimplementedMethod(ctx, c.open().whole())
	}},
	{name: "rpc_soak", run: func(ctx context.Context, c *client) {
		ch := c.open()
		soak(ctx, c, func() (*grpc.ClientConn, func()) { return ch.whole(), func() {} })
	}},
	{name: "channel_soak", run: func(ctx context.Context, c *client) {
		soak(ctx, c, func() (*grpc.ClientConn, func()) {
			ch := c.open()
			return ch.whole(), ch.close
		})
	}},
	// Not of interop/client: channel_soak for channels that are no
	// *grpc.ClientConn.
	{name: interfaceSoak, run: func(ctx context.Context, c *client) {
		for range c.Iterations {
			ch := c.open()
			defer ch.close() // as channel_soak does, when all calls are done
			interop.DoEmptyUnaryCall(ctx, testgrpc.NewTestServiceClient(ch.cc))
		}
	}},
}

const interfaceSoak = "channel_soak_interface"

// soak makes calls one after the other.
func soak(ctx context.Context, c *client, channel func() (*grpc.ClientConn, func())) {
	interop.DoSoakTest(ctx, interop.SoakTestConfig{
		RequestSize:                      c.RequestSize,
		ResponseSize:                     c.ResponseSize,
		PerIterationMaxAcceptableLatency: time.Minute, // the machine may be busy
		OverallTimeout:                   soakTimeout,
		ServerAddr:                       c.Address,
		NumWorkers:                       1,
		Iterations:                       c.Iterations,
		ChannelForTest:                   channel,
	})
}

const soakTimeout = 4 * time.Minute

// find returns the testcase of that name.
func find(name string) (testcase, error) {
	for _, tc := range testcases {
		if tc.name == name {
			return tc, nil
		}
	}
	return testcase{}, fmt.Errorf("no case %q", name)
}
