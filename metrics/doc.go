// Package metrics keeps the accounts of a pool of connections: how many were
// born, what they are doing, why they left, how they ended, how many
// TIME_WAITs they left behind, and how many the same requests would have left
// without the pool.
//
// A [Meter] is one set of accounts. Read it with [Meter.Snapshot]; a
// [Snapshot] prints itself, marshals to JSON, and can be checked with
// [Snapshot.Balance]. [Census] counts all sockets of the network namespace,
// whoever made them.
//
// # The balance
//
// For each host, and so for their sum, at any moment:
//
//	Born = Resting + Busy + Leaving + the sum of Ended
//
// Every connection is in exactly one of those places. A Snapshot in which this
// does not hold shows a defect of the program that records.
//
// # Ghosts
//
// "Without the pool" needs a model of what else would have been. A ghost is a
// pool that holds no connections: it follows the real requests, as they begin
// and end, and counts the connections that the modelled pool would have closed
// before its peer did, each of which is a TIME_WAIT. [Snapshot.WouldHave] has
// one number for each model:
//
//   - [PerRequest] closes its connection after every request. It is an upper
//     bound.
//   - [NetHTTPDefault] is [net/http.DefaultTransport]: it keeps 2 idle
//     connections per host and 100 in all, for 90 seconds, and dials as long as
//     the real pool's dials took. In open-loop tests against net/http itself it
//     came within about 10 %. On a saturated machine it claims far too little,
//     since it cannot know how much slower its own dials would have made
//     everything. So the number is to be read as "at least".
//
// Where a ghost cannot know, it claims nothing: for hosts whose connections
// carry several requests at a time (HTTP/2, gRPC), for connections that it
// still keeps, for requests whose connection the peer or a failure ended, and
// for idle connections of a host whose server has been seen to close first.
//
// # Bodies
//
// A response body that is neither read to its end nor closed keeps its
// connection from every other request. [Snapshot.Leaks] counts those that the
// pool has found to be forgotten, and closed; [Snapshot.HeldBodies] those that
// the program was still in possession of for longer than it had said. If either
// grows, the program is to be mended: the pool's log says where. No ghost
// claims anything for a leak, because any other pool would have lost the
// connection for good.
//
// # Recording
//
// [Meter.Host], [Host] and [Conn] are the other side, for programs that pool
// connections themselves. Package pool and package dialer use them.
package metrics
