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
// Networks other than TCP pass through as the net package returns them.
package dialer
