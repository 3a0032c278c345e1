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
//
// # The life of a channel
//
//	              connected,            not needed for a Cooldown,
//	              and primed            MaxAge, hung
//	made ► joining ────────► serving ──────────────────────────────► draining ────────► closed
//	                          ▲    │                                  its calls are
//	                          └────┘ calls: to the less loaded of two  done
//
// A channel that replaces another takes its place before that one drains. One
// whose server closes or says GOAWAY is not replaced: grpc-go connects it again.
//
// # Defaults
//
//	                          grpc.NewClient       with DialOptions     NewClient
//	channels                  1                    1                    1 to 10, as calls need
//	streams beyond a limit    queue                queue                another channel
//	keepalive                 none                 5 min 10 s, 20 s     the same
//	TCP_USER_TIMEOUT          none                 20 s                 20 s
//	HTTPS_PROXY               honoured             honoured             honoured
//	close                     FIN first: TIME_WAIT the peer first, or FIN and reset
//
// # Ownership and locks
//
// All changes to the set of channels are made by one goroutine, the manager's;
// calls read the set without a lock. Three locks guard the rest, and none is ever
// taken while another is held: ClientConn.mu, the queue of calls that wait and
// what they are given; channel.mu, a channel's connections and what its server has
// said; gate.mu, the targets that are down. Nothing of grpc-go's or the user's is
// called under any of them.
//
// The manager ends with its last channel, a channel's goroutine with the channel,
// and a dial by its context.
package grpcpool
