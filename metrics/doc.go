// Package metrics keeps the accounts of a pool of connections: how many were
// born, what they are doing, why they left, how they ended, how many
// TIME_WAITs they left behind, and how many the same requests would have left
// without the pool.
//
// A [Meter] is one set of accounts. Read it with [Meter.Snapshot]; a
// [Snapshot] prints itself, marshals to JSON, and can be checked with
// [Snapshot.Balance]. For more than it holds, an [Observer] is told what is
// measured as it happens, and [Meter.Log] writes a line each minute. [Census]
// counts all sockets of the network namespace, whoever made them, and
// [Meter.Census] says which are the Meter's.
//
// # The kernel's word
//
// [Snapshot.TimeWaits] counts what the kernel was seen to hold when a connection
// had ended, by its 4-tuple. [Meter.Reconcile] asks it again, for all TIME_WAITs
// of the network namespace and for its own count of them, and says whether
// anything contradicts that number.
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
//     bound: where the server closes first, or speaks TLS, there are fewer.
//   - [NetHTTPDefault] is [net/http.DefaultTransport]: it keeps 2 idle
//     connections per host and 100 in all, for 90 seconds, and dials as long as
//     the quicker of the real pool's dials took.
//   - Those of [Meter.Ghosts], a program's former settings for one, work as
//     [NetHTTPDefault] does.
//
// Next to net/http itself, with the same requests at the same times over
// loopback, [NetHTTPDefault] came within 2 % of the kernel's count in half of 30
// runs and within 11 % in all (200 to 1500 requests a second of 2 to 20 ms each,
// HTTP/1.1, dials of 0.2 and of 5 ms). In 50 more on a saturated machine it
// claimed too little, by up to a third, since it cannot know how much slower its
// own dials would have made everything; by chance it was up to 4 % above. It
// does worst where dials are rare and their times differ widely, since it takes
// the shorter. So the number is to be read as "at least".
//
// [Snapshot.WouldDial] has what the models would have dialled, and
// [Snapshot.WouldStand] the TIME_WAITs that would stand now. Beyond the ports
// that there are for a destination, a real pool's dials would have failed
// instead. [HostSnapshot.Curve] has pools of all sizes, without idle timeouts
// and with dials that take no time: those of one size less would have dialled,
// and closed, at least as often.
//
// Where a ghost cannot know, it claims nothing: for hosts whose connections
// carry several requests at a time (HTTP/2, gRPC), for connections that it
// still keeps, for requests whose connection the peer or a failure ended, that
// was upgraded, or whose response was closed unread ([Host.Drained]), and
// for idle connections of a host whose server has been seen to close first, or
// keeps them for less long than the model ([HostSnapshot.KeepAlive]), or has not
// been seen to keep one for about as long ([Host.Rested]).
//
// Over TLS it depends on the server what a connection leaves that the client
// closes first, and no TIME_WAIT is claimed ([Host.TLS]): most servers answer
// close_notify, and the answer makes the client's kernel reset the connection.
// One that does not, such as nginx, does leave a TIME_WAIT with its client.
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
// [Snapshot.LeakedAt] has the same by the place in the program.
//
// # On call
//
// [HostSnapshot.Advice] says in plain sentences what the counts show to be
// wrong. [Meter.Lives] has the connections that are there and the last that
// ended: between which addresses, when they were born and used, why they were
// dialled, why they left and how they ended. Package metricstest holds a
// program's own tests to all this.
//
// # Recording
//
// [Meter.Host], [Host] and [Conn] are the other side, for programs that pool
// connections themselves. Package pool and package dialer use them.
package metrics
