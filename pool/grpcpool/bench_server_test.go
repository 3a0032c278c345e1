package grpcpool

import (
	"bufio"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/lastack/lastack/internal/netlab"
)

// benchPayload is what calls and messages carry, in either direction.
var benchPayload = &testgrpc.Payload{Body: make([]byte, 200)}

const benchServer = "grpcpool bench server"

func init() { netlab.Register(benchServer, benchServe) }

// benchServe is the server's process. It prints its address, and ends with its
// input.
func benchServe(args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	creds := insecure.NewCredentials()
	if args[0] == "TLS" {
		creds, _ = benchCredentials()
	}
	srv := grpc.NewServer(grpc.Creds(creds))
	testgrpc.RegisterTestServiceServer(srv, benchService{})
	go srv.Serve(l)
	fmt.Println(l.Addr())
	io.Copy(io.Discard, os.Stdin)
}

// A benchService answers calls and messages with one like benchPayload.
type benchService struct {
	testgrpc.UnimplementedTestServiceServer
}

func (benchService) UnaryCall(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{Payload: benchPayload}, nil
}

func (benchService) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	for {
		if _, err := stream.Recv(); err != nil {
			if err == io.EOF {
				err = nil
			}
			return err
		}
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{Payload: benchPayload}); err != nil {
			return err
		}
	}
}

// startBenchServer starts that process and returns its address.
func startBenchServer(t testing.TB, secure bool) string {
	t.Helper()
	cmd := new(netlab.Lab).Child(t, benchServer, encryption(secure))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(addr)
}

func encryption(secure bool) string {
	if secure {
		return "TLS"
	}
	return "plaintext"
}

// benchCredentials returns those of both sides, by the certificate that
// httptest has for 127.0.0.1.
func benchCredentials() (server, client credentials.TransportCredentials) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return credentials.NewServerTLSFromCert(&s.TLS.Certificates[0]), credentials.NewClientTLSFromCert(roots, "")
}
