// Package grpcinterop puts gRPC's own interoperability tests to our channels:
// those of google.golang.org/grpc/interop that need no credentials of a cloud,
// each in a process of its own, since a case that fails ends its process. They
// need more modules than a gRPC client does, so this is a module of its own.
package grpcinterop
