// Command doctor says how many local ports are left for each destination, who
// holds the others, and what to do about it. It needs no privilege; what it may
// not read it says.
//
//	go run ./examples/doctor
//	go run ./examples/doctor -json
//
// It looks at the network namespace that it runs in: for a container, run it
// there (nsenter -n -t PID).
//
// It ends with 1 if something is about to run out, so that it can serve as a
// check: if a destination has less than a tenth of its ports left, or none
// within a minute at the present rate, if a source address has less than a tenth
// left for all destinations together, or if nine tenths are taken of a
// process's descriptors, the machine's file handles, the firewall's entries or
// the kernel's TIME_WAITs (see dialer.Report.RunningOut). It ends with 0 if not,
// and with 2 if it was called wrongly or could not tell. Build it for that (go
// build ./examples/doctor): "go run" itself ends with 1 in place of 2.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/lastack/lastack/dialer"
)

// The exit codes.
const (
	exitWell       = 0
	exitRunningOut = 1
	exitUsage      = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	flags.SetOutput(stderr)
	asJSON := flags.Bool("json", false, "print the report as JSON, whose names are those of dialer.Report")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitWell
	case err != nil:
		return exitUsage // the flag package has said why
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "doctor: what is %q?\n", flags.Arg(0))
		flags.Usage()
		return exitUsage
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	report, err := dialer.Diagnose(ctx)
	if errors.Is(err, errors.ErrUnsupported) || ctx.Err() != nil {
		fmt.Fprintln(stderr, "doctor:", err)
		return exitUsage // there is no report
	}
	if werr := write(stdout, report, *asJSON); werr != nil {
		fmt.Fprintln(stderr, "doctor:", werr)
		return exitUsage
	}
	switch {
	case report.RunningOut():
		return exitRunningOut
	case err != nil:
		fmt.Fprintln(stderr, "doctor:", err)
		return exitUsage
	}
	return exitWell
}

func write(w io.Writer, report dialer.Report, asJSON bool) error {
	if !asJSON {
		_, err := report.WriteTo(w)
		return err
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(report)
}
