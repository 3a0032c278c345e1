// Command compare does the same work through several HTTP clients, one after
// the other, and prints what each of them cost: connections, latency, CPU, and
// the TIME_WAIT sockets that it left, as the kernel counts them.
//
//	go run ./examples/compare
//	go run ./examples/compare -work churn -tls
//	go run ./examples/compare -work close -json
//	go run ./examples/compare -url http://10.0.0.7:8080/health
//
// The server is a process of its own, and each client gets a port of its own
// there, so that neither CPU time nor sockets of two clients can be confused.
// Where Linux lets it, the command runs itself in a fresh network namespace in
// which TIME_WAITs are neither recycled nor killed early, so that the figures
// are exact; elsewhere it counts the TIME_WAITs that stand when a client has
// ended, and says so.
//
// The row of a stock transport over a dialer.Dialer shows what changing
// DialContext alone does. The Dialer knows nothing of the protocol: it closes
// plainly when the kernel cannot tell it that the server spoke last, as when
// request and answer fall into the same tick of the kernel's clock.
//
// After the table it sets the own account of pool.Transport beside the kernel's
// count.
//
// It ends with 130 after Ctrl-C, with the table of what was done until then, and
// otherwise with 0 when all clients have had their turn, however they fared.
package main
