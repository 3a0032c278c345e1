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

	"github.com/lastack/lastack/examples/internal/lab"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	if lab.IsServer() {
		return serve(os.Stdin, os.Stdout)
	}
	s, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return lab.ExitUsage // the flag package has said why
	}

	where, code, done := lab.Enter(args, s.whyNot())
	if done {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop() // not before the end: a second Ctrl-C must not skip the table
	r, err := compare(ctx, s, where)
	if err != nil {
		fmt.Fprintln(stderr, "compare:", err)
		return lab.ExitFailed
	}
	if s.json {
		err = r.writeJSON(stdout)
	} else {
		err = r.writeText(stdout)
	}
	switch {
	case r.Interrupted:
		return lab.ExitInterrupted
	case err != nil:
		fmt.Fprintln(stderr, "compare:", err)
		return lab.ExitFailed
	}
	return 0
}

// whyNot returns why the command is not to run in a network namespace of its
// own, or nothing.
func (s *settings) whyNot() string {
	switch {
	case s.url != nil:
		return "the server of -url is not reachable from a network namespace of its own"
	case !s.namespace:
		return "-namespace=false"
	}
	return ""
}
