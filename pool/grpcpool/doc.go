// Package grpcpool has gRPC clients keep and end their connections without
// TIME_WAIT.
//
// [DialOptions] does so for a channel of grpc-go's own, and changes nothing else:
//
//	cc, err := grpc.NewClient(target, append(grpcpool.DialOptions(nil), opts...)...)
package grpcpool
