package main

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net/http"
	"strconv"
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
	err = c.Do(cmd, &a)
	return a, err
}

// A siteConfig says how a site answers.
type siteConfig struct {
	TLS, HTTP2, Close bool
	Delay             time.Duration
	Size              int
}

// serve is the server's process.
func serve(in io.Reader, out io.Writer) int {
	srv := &server{sites: make(map[string]*lab.Listener)}
	return lab.Serve(in, out, srv.do)
}

// A server has one site for each client. Sites stay open until the end, so that
// no port is used twice.
type server struct {
	cert  *lab.Certificate // made when first needed
	sites map[string]*lab.Listener
}

func (srv *server) do(c command) (answer, error) {
	if c.Listen != nil {
		return srv.listen(*c.Listen)
	}
	if s := srv.sites[c.Accepted]; s != nil {
		return answer{Accepted: s.Accepted()}, nil
	}
	return answer{}, errors.New("no site at " + c.Accepted)
}

func (srv *server) listen(c siteConfig) (answer, error) {
	s, err := lab.Listen()
	if err != nil {
		return answer{}, err
	}
	h := &http.Server{
		Handler:   c.handler(),
		Protocols: new(http.Protocols),
		ErrorLog:  log.New(io.Discard, "", 0), // what fails is seen, and shown, by the client
	}
	h.Protocols.SetHTTP1(!c.HTTP2)
	h.Protocols.SetHTTP2(c.HTTP2 && c.TLS)
	h.Protocols.SetUnencryptedHTTP2(c.HTTP2 && !c.TLS)

	a := answer{Addr: s.Addr().String()}
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
