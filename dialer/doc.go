// Package dialer makes the connections: it dials like a [net.Dialer], sets
// what must be set before connect, and returns connections that end by a
// [linger.Policy].
//
// A [Dialer] fits wherever a DialContext function does:
//
//	d := &dialer.Dialer{}
//	client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
//	defer d.Shutdown(context.Background())
//
// It knows nothing of the protocol that is spoken, so it keeps to what is safe
// for any: a connection whose peer has closed, or has spoken last, leaves no
// TIME_WAIT here; one that ends with a word of ours unanswered is closed
// plainly, and its TIME_WAIT is counted. A pool (package pool) knows more, and
// leaves none at all.
//
// # Local ports
//
// Two connections may have the same local port if they differ in anything else:
// each source address has the whole range (net.ipv4.ip_local_port_range) for
// each destination. On Linux the Dialer sees to it that all of it can be used:
// connect, which knows the destination, chooses the port also where the source
// address is given (IP_BIND_ADDRESS_NO_PORT), and looks at every port in turn
// (IP_LOCAL_PORT_RANGE, Linux 6.8), so that it does not get slow when half of
// them are taken. Dialer.Sources brings a range for each address, and
// Dialer.Ports keeps to a part of one.
//
// A connection that this side closes plainly keeps its port for a minute, in
// TIME_WAIT, for that destination. Where net.ipv4.tcp_tw_reuse does not let the
// kernel use it again, Dialer.FixedPorts does, a second later.
//
// When there is no port left all the same, the error says who has them: see
// [Error] and [ErrPortsExhausted].
//
// Networks other than TCP pass through as the net package returns them, without
// any of this.
//
// # Before it comes to that
//
// [Diagnose] says how many ports are left for each destination, who holds the
// others, what the kernel's settings mean and what to do; go run ./examples/doctor
// prints it.
//
// # Locks
//
// attempt.mu, which guards one dial, is taken before sources.mu (what each source
// address has) or rings.mu (the fixed ports of the process), and never with both.
// Nothing is called out to under the last two.
package dialer
