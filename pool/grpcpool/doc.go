// Package grpcpool has gRPC clients keep and end their connections without
// TIME_WAIT.
//
// [DialOptions] does so for a channel of grpc-go's own, and changes nothing else:
//
//	cc, err := grpc.NewClient(target, append(grpcpool.DialOptions(nil), opts...)...)
//
// [NewClient] makes as many channels to a target as its calls need, for clients
// that would otherwise queue behind the streams that a server allows a connection:
//
//	cc, err := grpcpool.NewClient(target, grpcpool.Config{Credentials: creds}, opts...)
//	client := pb.NewGreeterClient(cc)
package grpcpool
