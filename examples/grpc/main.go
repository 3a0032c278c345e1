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

// settings are the command's flags.
type settings struct {
	channels  int
	calls     int
	tls       bool
	namespace bool
}

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
		return lab.ExitUsage // it has been said why
	}
	whyNot := ""
	if !s.namespace {
		whyNot = "-namespace=false"
	}
	where, code, done := lab.Enter(args, whyNot)
	if done {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop() // not before the end: a second Ctrl-C must not skip the table
	err = compare(ctx, s, where, stdout)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stdout, "interrupted")
		return lab.ExitInterrupted
	case err != nil:
		fmt.Fprintln(stderr, "grpc:", err)
		return lab.ExitFailed
	}
	return 0
}

func parse(args []string, stderr io.Writer) (*settings, error) {
	s := &settings{}
	f := flag.NewFlagSet("grpc", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&s.channels, "channels", 200, "channels that each client makes")
	f.IntVar(&s.calls, "calls", 500, "calls at once of the last scene")
	f.BoolVar(&s.tls, "tls", false, "speak TLS")
	f.BoolVar(&s.namespace, "namespace", true, "run in a network namespace of its own, where that is possible")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var err error
	switch {
	case f.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", f.Arg(0))
	case s.channels < 1 || s.calls < 1:
		err = errors.New("-channels and -calls must be positive")
	}
	if err != nil {
		fmt.Fprintln(stderr, "grpc:", err)
	}
	return s, err
}
