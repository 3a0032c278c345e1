package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/lastack/lastack/linger"
)

// A server serves the protocol until it is shut down.
type server struct {
	l        net.Listener
	closer   *linger.Closer // nil: it closes as any server does
	handlers sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]bool
	leaving bool
}

// start serves on l. With a closer its connections end by that.
func start(l net.Listener, closer *linger.Closer) *server {
	if closer != nil {
		l = closer.Listener(l)
	}
	s := &server{l: l, closer: closer, conns: make(map[net.Conn]bool)}
	s.handlers.Go(s.accept)
	return s
}

func (s *server) accept() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		if !s.add(c) {
			c.Close()
			return
		}
		s.handlers.Go(func() {
			defer s.remove(c)
			s.serve(c)
		})
	}
}

func (s *server) add(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving {
		return false
	}
	s.conns[c] = true
	return true
}

func (s *server) remove(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// serve answers until one of the two leaves.
func (s *server) serve(c net.Conn) {
	defer c.Close() // a second Close does nothing
	for in := bufio.NewReader(c); ; {
		line, err := in.ReadString('\n')
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.leave(c)
			return
		case err != nil:
			return
		case line == imDone:
			io.WriteString(c, goodbye)
			io.Copy(io.Discard, in) // the client closes first; shutdown ends this too
			return
		}
		if _, err := io.WriteString(c, line); err != nil {
			return
		}
	}
}

// leave says that the server is done. The client is given time to close first,
// Policy.Wait; one that does not is reset. A server without a Closer closes.
func (s *server) leave(c net.Conn) {
	c.SetReadDeadline(time.Time{})
	if s.closer == nil {
		io.WriteString(c, wereDone)
		c.Close()
		return
	}
	linger.Goodbye(context.Background(), c, func(c net.Conn) error {
		_, err := io.WriteString(c, wereDone)
		return err
	})
}

// shutdown has the server leave, and waits until all its connections have ended:
// no more are accepted, those at rest are told, and then the Closer is waited for.
func (s *server) shutdown(ctx context.Context) error {
	s.l.Close()
	s.mu.Lock()
	s.leaving = true
	for c := range s.conns {
		c.SetReadDeadline(time.Unix(1, 0)) // wakes its handler when it has answered
	}
	s.mu.Unlock()
	s.handlers.Wait()
	if s.closer == nil {
		return nil
	}
	return s.closer.Shutdown(ctx)
}
