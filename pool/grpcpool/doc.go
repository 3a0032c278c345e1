// Package grpcpool has gRPC clients keep and end their connections without
// TIME_WAIT.
//
// [DialOptions] does so for a channel of grpc-go's own:
//
//	cc, err := grpc.NewClient(target, append(grpcpool.DialOptions(nil), opts...)...)
//
// Besides it turns keepalive on, as slow as servers allow, and with it
// TCP_USER_TIMEOUT; a channel of grpc-go has neither unless it is told to.
//
// [NewClient] makes as many channels to a target as its calls need, for clients
// that would otherwise queue behind the streams that a server allows a connection:
//
//	cc, err := grpcpool.NewClient(target, grpcpool.Config{Credentials: creds}, opts...)
//	client := pb.NewGreeterClient(cc)
//
// It has no one connectivity state: a call that is to wait for a connection says so
// itself (grpc.WaitForReady).
//
// # How a connection ends
//
// A connection that no call was sent on, as one that lost a race of addresses,
// is reset. Over TLS the server is given time to close first, once close_notify
// has been said, and in plaintext if it is one that closes when it is told
// GOAWAY; a server that does not has its connection ended by FIN, then reset
// (TCP_LINGER2, Linux). A connection whose peer acknowledges nothing any more is
// reset at once, so that it holds no port. Nobody waits for any of this but
// Shutdown.
package grpcpool
