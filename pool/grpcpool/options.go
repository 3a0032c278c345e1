package grpcpool

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/lastack/lastack/dialer"
)

// The keepalive of a channel's connections, unless the user has another. The
// servers of grpc-go, grpc-java and gRPC core take a PING every five minutes
// while calls are under way, and punish one that comes a moment earlier.
const (
	keepaliveTime    = 5*time.Minute + 10*time.Second
	keepaliveTimeout = 20 * time.Second

	keepaliveLeast = 10 * time.Second // grpc-go takes less for as much
)

// DialOptions returns options for [grpc.NewClient] with which the channel's
// connections are dialled by d and end without TIME_WAIT. They come first, so
// that the user's own options win:
//
//	grpc.NewClient(target, append(grpcpool.DialOptions(nil), opts...)...)
//
// What grpc-go does for a connection of its own dialer is done for these:
// HTTPS_PROXY and NO_PROXY are honoured, TCP_USER_TIMEOUT is set, channelz sees
// the socket, a connection at rest holds no read buffer, and Close waits for
// nothing.
//
// If d is nil, the Dialer is one of the channel's own, with TCP keep-alive as
// the system has it, as in grpc-go. Several channels may share a Dialer, whose
// Shutdown then waits for the endings of their connections, and whose Meter
// counts them.
//
// TCP_USER_TIMEOUT is d.UserTimeout, or else 20 seconds, which is the Timeout of
// the keepalive that is set here; its Time is just over five minutes, as no server is
// known to punish. Whoever gives other keepalive parameters should set
// d.UserTimeout to their Timeout: grpc-go does so by itself on its own
// connections only.
//
// Two options of grpc-go have no effect on a channel with a dialer:
// WithNoProxy (set NO_PROXY) and WithLocalDNSResolution. A third has none where
// HTTPS_PROXY is set: WithResolvers with a resolver for the scheme dns, since
// grpc-go takes the first that it is given (resolver.Register works).
func DialOptions(d *dialer.Dialer) []grpc.DialOption { return newDialing(d).options() }

// options returns the options of a channel whose connections dl makes.
func (dl *dialing) options() []grpc.DialOption {
	opts := []grpc.DialOption{
		grpc.WithContextDialer(dl.dial),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
	}
	if proxyConfigured() {
		opts = append(opts, grpc.WithResolvers(viaProxy{}))
	}
	return opts
}
