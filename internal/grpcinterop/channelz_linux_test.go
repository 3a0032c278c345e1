package grpcinterop

import (
	"slices"
	"testing"

	channelz "google.golang.org/grpc/channelz/grpc_channelz_v1"
	"google.golang.org/grpc/channelz/service"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// TestChannelz: channelz, which this import turns on for the whole program, sees
// of our sockets what it sees of grpc-go's own.
func TestChannelz(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(encryption(secure), func(t *testing.T) {
			var stock []string
			for _, via := range []string{"stock", "DialOptions", "NewClient"} {
				s := start(t, secure, false, service.RegisterChannelzServiceToServer)
				c := client{Via: via, Address: s.addr.String(), Roots: s.roots}
				ch := c.open()
				defer ch.close()
				if _, err := testgrpc.NewTestServiceClient(ch.cc).EmptyCall(t.Context(), &testgrpc.Empty{}); err != nil {
					t.Fatal(err)
				}
				got := socketOptions(t, channelz.NewChannelzClient(ch.cc), c.Address)
				switch {
				case stock == nil:
					stock = got
					if !slices.Contains(stock, "TCP_INFO") {
						t.Fatalf("channelz knows nothing of stock's socket: %q", stock)
					}
				case !slices.Equal(got, stock):
					t.Errorf("%s: channelz sees %q; stock %q", via, got, stock)
				}
			}
		})
	}
}

// socketOptions returns the names of the socket options that channelz has of
// the one connection of the channel to the target.
func socketOptions(t *testing.T, cz channelz.ChannelzClient, target string) []string {
	t.Helper()
	tops, err := cz.GetTopChannels(t.Context(), &channelz.GetTopChannelsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(tops.Channel, func(c *channelz.Channel) bool { return c.Data.Target == target || c.Ref.Name == target })
	if i < 0 || len(tops.Channel[i].SubchannelRef) != 1 {
		t.Fatalf("no channel to %s with one subchannel in %v", target, tops)
	}
	sub, err := cz.GetSubchannel(t.Context(), &channelz.GetSubchannelRequest{SubchannelId: tops.Channel[i].SubchannelRef[0].SubchannelId})
	if err != nil || len(sub.Subchannel.SocketRef) != 1 {
		t.Fatalf("no subchannel with one socket: %v, %v", sub, err)
	}
	socket, err := cz.GetSocket(t.Context(), &channelz.GetSocketRequest{SocketId: sub.Subchannel.SocketRef[0].SocketId})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range socket.Socket.Data.Option {
		names = append(names, o.Name)
	}
	slices.Sort(names)
	return names
}
