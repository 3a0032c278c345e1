package grpcpool

import (
	"context"
	"net"
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
)

// DialOptions returns options for [grpc.NewClient] with which the channel's
// connections are dialled by d, and end without TIME_WAIT. They come first, so
// that the user's own options win:
//
//	grpc.NewClient(target, append(grpcpool.DialOptions(nil), opts...)...)
//
// If d is nil, the Dialer is one of the channel's own, with TCP keep-alive as the
// system has it, as in grpc-go.
func DialOptions(d *dialer.Dialer) []grpc.DialOption {
	dial := newDialing(d)
	return []grpc.DialOption{
		grpc.WithContextDialer(dial.dial),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
	}
}

// newDialer returns a Dialer whose sockets are like those of grpc-go's own.
func newDialer() *dialer.Dialer {
	return &dialer.Dialer{Net: net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1},
	}}
}

// A dialing makes the connections of a channel.
type dialing struct {
	d *dialer.Dialer
}

func newDialing(d *dialer.Dialer) *dialing {
	if d == nil {
		d = newDialer()
	}
	return &dialing{d: d}
}

// dial connects to an address as grpc-go hands it to a dialer.
func (dl *dialing) dial(ctx context.Context, address string) (net.Conn, error) {
	return dl.d.DialContext(ctx, "tcp", address)
}
