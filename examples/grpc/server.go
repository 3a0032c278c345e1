package main

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/lastack/lastack/examples/internal/lab"
)

// What the server is told and what it answers: see [lab.Child].
type (
	command struct {
		Listen   *siteConfig `json:",omitempty"`
		Accepted string      `json:",omitempty"` // address of the site
		Stop     string      `json:",omitempty"` // the same; it may take its time
	}
	answer struct {
		Addr     string
		Roots    []byte // PEM
		Accepted int
		Error    string
	}
)

// A siteConfig says how a site serves.
type siteConfig struct {
	TLS     bool
	Streams uint32        // at a time on one connection; 0: unlimited
	Delay   time.Duration // of each answer
}

// ask has the server's process do something.
func ask(c *lab.Child, cmd command) (a answer, err error) {
	if err = c.Do(cmd, &a); err == nil && a.Error != "" {
		err = errors.New("server: " + a.Error)
	}
	return a, err
}

// serve is the server's process. It ends when its input does.
func serve(in io.Reader, out io.Writer) int {
	signal.Ignore(os.Interrupt) // a terminal sends it to us too, but our parent has yet to count
	srv := &server{sites: make(map[string]*site)}
	commands, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var c command
		if err := commands.Decode(&c); err != nil {
			return 0
		}
		if err := answers.Encode(srv.do(c)); err != nil {
			return lab.ExitFailed
		}
	}
}

// A server has one site for each client. Sites keep their ports until the end,
// so that none is used twice.
type server struct {
	cert  *lab.Certificate // made when first needed
	sites map[string]*site
}

// A site is a greeter with a listener that counts.
type site struct {
	net.Listener
	grpc     *grpc.Server
	accepted atomic.Int64
}

func (s *site) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err == nil {
		s.accepted.Add(1)
	}
	return c, err
}

func (srv *server) do(c command) answer {
	if c.Listen != nil {
		a, err := srv.listen(*c.Listen)
		if err != nil {
			return answer{Error: err.Error()}
		}
		return a
	}
	s := srv.sites[c.Accepted+c.Stop]
	switch {
	case s == nil:
		return answer{Error: "no site at " + c.Accepted + c.Stop}
	case c.Stop != "":
		s.grpc.GracefulStop()
	}
	return answer{Accepted: int(s.accepted.Load())}
}

func (srv *server) listen(c siteConfig) (answer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return answer{}, err
	}
	opts := []grpc.ServerOption{grpc.ForceServerCodecV2(codec{}), grpc.MaxConcurrentStreams(math.MaxUint32)}
	if c.Streams > 0 {
		opts = append(opts, grpc.MaxConcurrentStreams(c.Streams))
	}
	a := answer{Addr: l.Addr().String()}
	if c.TLS {
		if srv.cert == nil {
			if srv.cert, err = lab.NewCertificate(); err != nil {
				return answer{}, err
			}
		}
		opts = append(opts, grpc.Creds(credentials.NewTLS(srv.cert.Config())))
		a.Roots = srv.cert.PEM
	}
	s := &site{Listener: l, grpc: grpc.NewServer(opts...)}
	s.grpc.RegisterService(&greeterDesc, &greeter{c.Delay})
	srv.sites[a.Addr] = s
	go s.grpc.Serve(s)
	return a, nil
}
