package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The command runs itself in other roles, which this variable names.
const (
	roleEnv        = "LASTACK_COMPARE_ROLE"
	roleServer     = "server"
	roleNamespaced = "namespaced"
)

// The exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // as a shell reports a command that SIGINT ended
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	role := os.Getenv(roleEnv)
	if role == roleServer {
		return serve(os.Stdin, os.Stdout)
	}
	s, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage // the flag package has said why
	}

	where, code, done := place(s, role, args)
	if done {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop() // not before the end: a second Ctrl-C must not skip the table
	r, err := compare(ctx, s, where)
	if err != nil {
		fmt.Fprintln(stderr, "compare:", err)
		return exitFailed
	}
	if s.json {
		err = r.writeJSON(stdout)
	} else {
		err = r.writeText(stdout)
	}
	switch {
	case r.Interrupted:
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(stderr, "compare:", err)
		return exitFailed
	}
	return 0
}

// A location is where the comparison runs, and so what the kernel's count is
// worth.
type location struct {
	private bool   // a network namespace of our own
	why     string // if not: the reason
}

// place finds out where to run. It reports done when another process, in a
// namespace of its own, has done everything, and with which exit code.
func place(s *settings, role string, args []string) (where location, code int, done bool) {
	switch {
	case role == roleNamespaced:
		if err := enterNamespace(); err != nil {
			return where, exitFailed, true // the parent has been told, and goes on without
		}
		return location{private: true}, 0, false
	case s.url != nil:
		return location{why: "the server of -url is not reachable from a network namespace of its own"}, 0, false
	case !s.namespace:
		return location{why: "-namespace=false"}, 0, false
	}
	code, err := runNamespaced(args)
	if err != nil {
		return location{why: err.Error()}, 0, false
	}
	return where, code, true
}
