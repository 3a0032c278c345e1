package grpcinterop

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/pool/grpcpool"
)

const clientChild = "client"

func TestMain(m *testing.M) {
	netlab.Register(clientChild, clientMain)
	netlab.Main(m)
}

// A client is what the process of a case is told.
type client struct {
	Case    string
	Via     string // how channels are made
	Address string
	Also    string // another address of the server
	Roots   []byte // DER of the server's certificate; nil: plaintext
	Deaf    bool   // cancellation and deadlines do not get through, which breaks what tests them

	Iterations, RequestSize, ResponseSize int // of the soaks
}

// clientMain runs one case. The case ends the process with another exit code if
// it fails; what is printed at the end says that it has come there.
func clientMain(args []string) {
	c := &client{}
	if err := json.Unmarshal([]byte(args[0]), c); err != nil {
		fatal(err)
	}
	tc, err := find(c.Case)
	if err != nil {
		fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), soakTimeout)
	defer cancel()
	tc.run(ctx, c)
	fmt.Println(passed)
}

const passed = "the case has passed"

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// A channel is what the cases call through.
type channel struct {
	cc    grpc.ClientConnInterface
	whole func() *grpc.ClientConn
	close func()
}

// vias are the ways to make a channel.
var vias = map[string]func(c *client, creds credentials.TransportCredentials, opts []grpc.DialOption) (*channel, error){
	"stock": func(c *client, creds credentials.TransportCredentials, opts []grpc.DialOption) (*channel, error) {
		return whole(c, append(opts, grpc.WithTransportCredentials(creds)))
	},
	"DialOptions": func(c *client, creds credentials.TransportCredentials, opts []grpc.DialOption) (*channel, error) {
		return whole(c, append(append(grpcpool.DialOptions(nil), opts...), grpc.WithTransportCredentials(creds)))
	},
	"NewClient": func(c *client, creds credentials.TransportCredentials, opts []grpc.DialOption) (*channel, error) {
		p, err := grpcpool.NewClient(c.target(), grpcpool.Config{Credentials: creds}, opts...)
		if err != nil {
			return nil, err
		}
		return &channel{p, p.Conn, func() { p.Close() }}, nil
	},
}

func whole(c *client, opts []grpc.DialOption) (*channel, error) {
	cc, err := grpc.NewClient(c.target(), opts...)
	if err != nil {
		return nil, err
	}
	return &channel{cc, func() *grpc.ClientConn { return cc }, func() { cc.Close() }}, nil
}

func (c *client) target() string {
	if c.Case == "pick_first_unary" {
		return "both:///" + c.Address
	}
	return c.Address
}

// open makes a channel, or ends the process.
func (c *client) open() *channel {
	creds := insecure.NewCredentials()
	if c.Roots != nil {
		cert, err := x509.ParseCertificate(c.Roots)
		if err != nil {
			fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AddCert(cert)
		creds = credentials.NewTLS(&tls.Config{RootCAs: pool})
	}
	var opts []grpc.DialOption
	if c.Case == "pick_first_unary" {
		both := manual.NewBuilderWithScheme("both")
		both.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: c.Address}, {Addr: c.Also}}})
		opts = append(opts, grpc.WithResolvers(both))
	}
	if c.Case == "orca_per_rpc" || c.Case == "orca_oob" {
		// The policy comes with the interop package, and keeps what it is told.
		opts = append(opts, grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}`))
	}
	if c.Deaf {
		opts = append(opts, grpc.WithUnaryInterceptor(deafUnary), grpc.WithStreamInterceptor(deafStream))
	}
	ch, err := vias[c.Via](c, creds, opts)
	if err != nil {
		fatal(err)
	}
	return ch
}

func deafUnary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(context.WithoutCancel(ctx), method, req, reply, cc, opts...)
}

func deafStream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, stream grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return stream(context.WithoutCancel(ctx), desc, cc, method, opts...)
}
