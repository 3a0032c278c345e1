// Command grpc has a greeter of its own greet through grpc-go's channels, and
// through the same channels with our dial options, and prints what the kernel
// counts of either: connections, and the TIME_WAIT sockets that they left.
//
//	go run ./examples/grpc
//	go run ./examples/grpc -tls
//
// What a program changes is in clients.go; greeter.go is the service, which needs
// no protoc.
//
// The server is a process of its own, and each client gets a port of its own
// there. Where Linux lets it, the command runs itself in a fresh network namespace
// in which TIME_WAITs are neither recycled nor killed early, so that the figures
// are exact; elsewhere it counts those that stand when a client has ended, and
// says so. Platforms other than Linux tell nothing about sockets; there it prints
// what it can.
//
// It ends with 130 after Ctrl-C, and otherwise with 0 when all clients have had
// their turn, however they fared.
package main
