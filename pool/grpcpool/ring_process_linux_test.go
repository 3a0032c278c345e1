package grpcpool

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/sockdiag"
)

func init() {
	netlab.Register("grpc server", childServer)
	netlab.Register("grpc client", childClient)
}

// childServer serves the protocol args[0] with grpc-go, prints its address, and
// stops when its standard input ends.
func childServer(args []string) {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		panic(err)
	}
	var tune []grpc.ServerOption
	if args[0] == "h2" {
		tune = append(tune, grpc.Creds(credentials.NewTLS(serverTLS())))
	}
	srv := grpc.NewServer(tune...)
	testgrpc.RegisterTestServiceServer(srv, newService())
	fmt.Println(l.Addr())
	go srv.Serve(l)
	io.Copy(io.Discard, os.Stdin)
	srv.Stop()
}

// A child is a process of a scene, which lives until its input ends.
type child struct {
	*exec.Cmd
	in   io.Closer
	said string // its first line
}

// start starts a registered function in a process of its own, and returns when
// it has said something.
func start(t *testing.T, cmd *exec.Cmd) *child {
	t.Helper()
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
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the child said %q, %v", line, err)
	}
	return &child{cmd, in, strings.TrimSuffix(line, "\n")}
}

// end has the process come to its end by itself.
func (c *child) end() {
	c.in.Close()
	c.Wait()
}

// serverProcess is grpc-go's server in a process of its own.
func serverProcess(s *stage) {
	c := start(s.t, s.lab.Child(s.t, "grpc server", s.proto))
	s.addr = netip.MustParseAddrPort(c.said)
	s.kill = func() { c.Process.Signal(syscall.SIGKILL); c.Wait() }
}

// TestKernelServerCrash: the server is killed.
func TestKernelServerCrash(t *testing.T) {
	playAll(t, []scene{{
		name: "at rest", server: serverProcess,
		play: func(s *stage) { s.open(); s.kill(); s.awaitEnd() },
	}, {
		name: "with streams", server: serverProcess,
		play: func(s *stage) {
			s.open()
			finish := s.begin(true)
			s.kill()
			finish()
			s.awaitEnd()
		},
	}})
}

// childClient opens args[3] channels of the protocol args[1] to the address
// args[2], with what args[0] names, says "ready", and ends without closing them,
// or waits to be killed.
func childClient(args []string) {
	n, err := strconv.Atoi(args[3])
	if err != nil {
		panic(err)
	}
	var wg sync.WaitGroup
	for range n {
		cc, err := grpc.NewClient(args[2], channelOptions(args[0] == "ours", nil, args[1])...)
		if err != nil {
			panic(err)
		}
		wg.Go(func() {
			if _, err := testgrpc.NewTestServiceClient(cc).EmptyCall(context.Background(), &testgrpc.Empty{}); err != nil {
				panic(err)
			}
		})
	}
	wg.Wait()
	fmt.Println("ready")
	if args[4] == "kill" {
		io.Copy(io.Discard, os.Stdin)
	}
	os.Exit(0)
}

// TestKernelProcessEnd: a client that exits, or is killed, with connections at
// rest.
func TestKernelProcessEnd(t *testing.T) {
	for _, how := range []string{"exit", "kill"} {
		for _, proto := range protos {
			t.Run(how+"/"+proto, func(t *testing.T) {
				t.Parallel()
				ring(t, func(lab *netlab.Lab) {
					stock, ours := processEnd(t, lab, how, proto, "stock"), processEnd(t, lab, how, proto, "ours")
					if ours != 0 {
						t.Errorf("%d TIME_WAIT are left", ours)
					}
					t.Logf("%s: TIME_WAIT of %d channels: client %d; stock grpc-go: client %d", t.Name(), ringConns, ours, stock)
				})
			})
		}
	}
}

func processEnd(t *testing.T, lab *netlab.Lab, how, proto, who string) (client int) {
	s := newStage(t, lab, proto, false)
	grpcServer()(s)
	before := lab.Counters(t)
	c := start(t, lab.Child(t, "grpc client", who, proto, s.target(), strconv.Itoa(ringConns), how))
	if c.said != "ready" {
		t.Fatalf("the client said %q", c.said)
	}
	if how == "kill" {
		s.awaitOpen(ringConns)
		c.Process.Signal(syscall.SIGKILL)
	}
	c.Wait()
	if n := lab.Counters(t).Since(before)["TcpActiveOpens"]; n != ringConns {
		t.Errorf("%s made %d connections", who, n)
	}
	client, _ = s.judge()
	if left := lab.States(t, s.addr).Client; who == "ours" && len(left.By) != 0 {
		t.Errorf("the client has sockets left: %v", left)
	}
	return client
}

// TestServerLogsNothing: what grpc-go's server says of our goodbyes. At its
// default verbosity that is nothing; at the highest it does tell of them, so
// they would be heard.
func TestServerLogsNothing(t *testing.T) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			ring(t, func(lab *netlab.Lab) {
				if log := serverLog(t, lab, proto); log != "" {
					t.Errorf("the server says:\n%s", log)
				}
				log := serverLog(t, lab, proto, "GRPC_GO_LOG_SEVERITY_LEVEL=info", "GRPC_GO_LOG_VERBOSITY_LEVEL=99")
				if n := strings.Count(log, "Closing: "); n < ringConns {
					t.Errorf("a server that says everything tells of %d goodbyes, want %d:\n%s", n, ringConns, log)
				}
			})
		})
	}
}

// serverLog returns what a server with these settings says while ringConns
// connections leave it, half of them at rest and half in mid-stream.
func serverLog(t *testing.T, lab *netlab.Lab, proto string, settings ...string) string {
	s := newStage(t, lab, proto, true)
	cmd := lab.Child(t, "grpc server", proto)
	cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool { return strings.HasPrefix(v, "GRPC_GO_") })
	cmd.Env = append(cmd.Env, settings...)
	var log bytes.Buffer
	cmd.Stderr = &log
	server := start(t, cmd)
	s.addr = netip.MustParseAddrPort(server.said)
	s.open()
	all := s.ccs
	s.ccs = all[:ringConns/2]
	finish := s.begin(true)
	s.ccs = all
	s.close()
	finish()
	s.judge()
	netlab.Eventually(t, 10*time.Second, "the server closes its sockets", func() bool {
		st := lab.States(t, s.addr).Server.By
		return st[sockdiag.Established]+st[sockdiag.CloseWait] == 0
	})
	server.end() // after which the buffer is ours
	return log.String()
}
