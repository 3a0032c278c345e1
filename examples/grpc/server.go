package main

import (
	"errors"
	"io"
	"math"
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
	err = c.Do(cmd, &a)
	return a, err
}

// serve is the server's process.
func serve(in io.Reader, out io.Writer) int {
	srv := &server{sites: make(map[string]*site)}
	return lab.Serve(in, out, srv.do)
}

// A server has one site for each client. Sites keep their ports until the end,
// so that none is used twice.
type server struct {
	cert  *lab.Certificate // made when first needed
	sites map[string]*site
}

// A site is a greeter with a listener that counts.
type site struct {
	*lab.Listener
	grpc *grpc.Server
}

func (srv *server) do(c command) (answer, error) {
	if c.Listen != nil {
		return srv.listen(*c.Listen)
	}
	s := srv.sites[c.Accepted+c.Stop]
	switch {
	case s == nil:
		return answer{}, errors.New("no site at " + c.Accepted + c.Stop)
	case c.Stop != "":
		s.grpc.GracefulStop()
	}
	return answer{Accepted: s.Accepted()}, nil
}

func (srv *server) listen(c siteConfig) (answer, error) {
	l, err := lab.Listen()
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
	s := &site{l, grpc.NewServer(opts...)}
	s.grpc.RegisterService(&greeterDesc, &greeter{c.Delay})
	srv.sites[a.Addr] = s
	go s.grpc.Serve(s)
	return a, nil
}
