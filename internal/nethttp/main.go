// Command nethttp runs the tests of net/http, net/http/httputil and
// net/http/httptest with every http.Transport served by a pool:
//
//	go run ./internal/nethttp
//
// They are those of the toolchain that runs it. Nothing of them is copied
// here: an overlay for the go command (go help build, -overlay) gives the
// methods of http.Transport another name and adds ones that call
// &pool.Transport{Base: t} instead. Where net/http is not as the overlay needs
// it, the program says so and fails.
//
// Both rounds run the same test binaries, the first with http.Transport's own
// methods, the second with the pool's. The program fails when
//
//   - a test passes in the first and not in the second, nor twice again and
//     alone, and is not in lists.go;
//   - a known difference in lists.go is none any more;
//   - a pool has handed a request for http or https back to Base.RoundTrip,
//     unless Base has a protocol of the program's own for it: a pool that
//     does so with all would pass everything;
//   - a package fails although its tests pass, as by leaked goroutines, which
//     net/http looks for in the long form.
//
// The flags:
//
//	-run pattern  only these tests
//	-race         with the race detector
//	-long         without -short: slower, one after another, with leak checks
//	-foreign      http.Client treats the Transport as somebody else's RoundTripper,
//	              as it does a pool in a program
//	-v            print also what flaky tests and known differences said
//	-calls        say which tests call Transport.RoundTrip at all; slow
//	-timeout d    for one package; by default 3 minutes, 15 with -race or -long
//	-work dir     where overlay, binaries and what they said go, and stay; a
//	              temporary one if empty
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

type options struct {
	form    form
	verbose bool
	calls   bool
	work    string
}

func main() {
	var o options
	flag.StringVar(&o.form.run, "run", "", "only the tests that match the `pattern`")
	flag.BoolVar(&o.form.race, "race", false, "with the race detector")
	flag.BoolVar(&o.form.long, "long", false, "without -short")
	flag.BoolVar(&o.form.foreign, "foreign", false, "http.Client does not know the Transport by its type")
	flag.BoolVar(&o.verbose, "v", false, "print what flaky tests and known differences said")
	flag.BoolVar(&o.calls, "calls", false, "say which tests call Transport.RoundTrip at all")
	flag.DurationVar(&o.form.timeout, "timeout", 0, "for one package; 3 minutes, or 15 with -race or -long, if zero")
	flag.StringVar(&o.work, "work", "", "`directory` for the overlay and the binaries")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if o.form.timeout == 0 {
		o.form.timeout = 3 * time.Minute
		if o.form.race || o.form.long {
			o.form.timeout = 15 * time.Minute
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := run(ctx, o, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "nethttp:", err)
	}
	if !ok {
		os.Exit(1)
	}
}

// run runs the suite, and reports whether the pool is as it should be.
func run(ctx context.Context, o options, w io.Writer) (bool, error) {
	if o.work == "" {
		dir, err := os.MkdirTemp("", "nethttp")
		if err != nil {
			return false, err
		}
		defer os.RemoveAll(dir)
		o.work = dir
	}
	if err := os.MkdirAll(o.work, 0o777); err != nil {
		return false, err
	}
	notes := filepath.Join(o.work, "notes")
	if err := os.RemoveAll(notes); err != nil {
		return false, err
	}
	say := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

	tools, err := findToolchain(ctx)
	if err != nil {
		return false, err
	}
	say("tests of %s of %s", strings.Join(packages, ", "), tools.version)
	if err := tools.build(ctx, o.work, o.form.race); err != nil {
		return false, err
	}
	r := &runner{tools: tools, form: o.form, lists: theLists, dir: o.work, say: say}
	stock, err := r.stock(ctx)
	if err != nil {
		return false, err
	}
	pooled, err := r.pooled(ctx, stock, notes)
	if err != nil {
		return false, err
	}
	back, err := handedBack(notes)
	if err != nil {
		return false, err
	}
	v := judge(stock, pooled, back, theLists, o.form.run == "")
	v.write(w, o.verbose)
	if o.calls {
		if err := r.writeCalls(ctx, w, v); err != nil {
			return false, err
		}
	}
	return v.ok(), nil
}
