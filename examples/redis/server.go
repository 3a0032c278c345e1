package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/lastack/lastack/examples/internal/lab"
)

const program = "redis-server"

var errMissing = errors.New(program + " is not installed: apt-get install redis-server, or the like")

// A server is a redis-server of our own, without a file to keep.
type server struct {
	addr netip.AddrPort
	cmd  *exec.Cmd
	dir  string
}

func startServer(ctx context.Context) (*server, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, errMissing
	}
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "lastack-redis")
	if err != nil {
		return nil, err
	}
	s := &server{addr: addr, dir: dir}
	s.cmd = exec.CommandContext(ctx, path, "--bind", addr.Addr().String(), "--port", strconv.Itoa(int(addr.Port())),
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", dir)
	lab.DieWithParent(s.cmd)
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if err := ready(out); err != nil {
		s.stop()
		return nil, err
	}
	go io.Copy(io.Discard, out) // ends with the process
	return s, nil
}

// freePort returns an address that nobody has, yet.
func freePort() (netip.AddrPort, error) {
	l, err := lab.Listen()
	if err != nil {
		return netip.AddrPort{}, err
	}
	return l.AddrPort(), l.Close()
}

// ready waits until the server says that it listens: a connection to find out
// would be counted.
func ready(out io.Reader) error {
	var printed strings.Builder
	for in := bufio.NewScanner(out); in.Scan(); {
		if strings.Contains(in.Text(), "Ready to accept connections") {
			return nil
		}
		fmt.Fprintln(&printed, in.Text())
	}
	return fmt.Errorf("%s did not start:\n%s", program, &printed)
}

func (s *server) stop() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
	os.RemoveAll(s.dir)
}
