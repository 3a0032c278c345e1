package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/lastack/lastack/examples/internal/lab"
)

// What the server is told and what it answers: see [lab.Child].
type (
	command struct {
		Listen   *siteConfig `json:",omitempty"`
		Accepted string      `json:",omitempty"` // address of the site
	}
	answer struct {
		Addr     string
		Roots    []byte // PEM
		Accepted int
		Error    string
	}
)

// listen opens a site.
func listen(c *lab.Child, cfg siteConfig) (answer, error) { return ask(c, command{Listen: &cfg}) }

// accepted returns how many connections the site at addr has accepted.
func accepted(c *lab.Child, addr string) (int, error) {
	a, err := ask(c, command{Accepted: addr})
	return a.Accepted, err
}

func ask(c *lab.Child, cmd command) (a answer, err error) {
	if err = c.Do(cmd, &a); err == nil && a.Error != "" {
		err = errors.New("server: " + a.Error)
	}
	return a, err
}

// A siteConfig says how a site answers.
type siteConfig struct {
	TLS, HTTP2, Close bool
	Delay             time.Duration
	Size              int
}

// serve is the server's process. It ends when its input does, and so with the
// process that has started it, however that ends.
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

// A server has one site for each client. Sites stay open until the end, so that
// no port is used twice.
type server struct {
	cert  *lab.Certificate // made when first needed
	sites map[string]*site
}

func (srv *server) do(c command) answer {
	if c.Listen == nil {
		if s := srv.sites[c.Accepted]; s != nil {
			return answer{Accepted: int(s.accepted.Load())}
		}
		return answer{Error: "no site at " + c.Accepted}
	}
	a, err := srv.listen(*c.Listen)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return a
}

func (srv *server) listen(c siteConfig) (answer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return answer{}, err
	}
	s := &site{Listener: l}
	h := &http.Server{
		Handler:   c.handler(),
		Protocols: new(http.Protocols),
		ErrorLog:  log.New(io.Discard, "", 0), // what fails is seen, and shown, by the client
	}
	h.Protocols.SetHTTP1(!c.HTTP2)
	h.Protocols.SetHTTP2(c.HTTP2 && c.TLS)
	h.Protocols.SetUnencryptedHTTP2(c.HTTP2 && !c.TLS)

	a := answer{Addr: l.Addr().String()}
	srv.sites[a.Addr] = s
	if !c.TLS {
		go h.Serve(s)
		return a, nil
	}
	if srv.cert == nil {
		if srv.cert, err = lab.NewCertificate(); err != nil {
			return answer{}, err
		}
	}
	h.TLSConfig = srv.cert.Config()
	a.Roots = srv.cert.PEM
	go h.ServeTLS(s, "", "")
	return a, nil
}

// handler answers after a while, as a service that does some work.
func (c siteConfig) handler() http.HandlerFunc {
	body := bytes.Repeat([]byte("0123456789abcde\n"), c.Size/16+1)[:c.Size]
	return func(w http.ResponseWriter, r *http.Request) {
		if c.Delay > 0 {
			select {
			case <-time.After(c.Delay):
			case <-r.Context().Done():
			}
		}
		if c.Close {
			w.Header().Set("Connection", "close")
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	}
}

// A site is a listener that counts.
type site struct {
	net.Listener
	accepted atomic.Int64
}

func (s *site) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err == nil {
		s.accepted.Add(1)
	}
	return c, err
}
