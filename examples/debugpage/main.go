// Command debugpage is a small service under changing load, with the page of
// package metrics/debug mounted. It prints where the page is.
//
//	go run ./examples/debugpage
//	go run ./examples/debugpage -trouble -for 1h
//
// The service calls two others, which it starts itself, and whose load rises
// and falls. What a program of one's own needs is in mount, and it is three
// lines. It is a module of its own, as the page is.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/debug"
	"github.com/lastack/lastack/pool"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "debugpage:", err)
		os.Exit(1)
	}
}

// run serves the page until ctx ends, or for as long as the flags say.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("debugpage", flag.ContinueOnError)
	address := flags.String("addr", "localhost:6060", "where to serve the page; port 0 takes any")
	last := flags.Duration("for", 15*time.Minute, "how long to run, unless interrupted; 0: until interrupted")
	trouble := flags.Bool("trouble", false, "forget some response bodies, and call more at a time than connections are allowed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *last > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *last)
		defer cancel()
	}

	// One Meter for the pool, with the settings that the service used to have
	// as one more ghost.
	meter := &metrics.Meter{Ghosts: []metrics.Ghost{{Name: "before (10 idle)", MaxIdlePerHost: 10, IdleTimeout: 90 * time.Second}}}
	transport := &pool.Transport{Meter: meter}
	if *trouble {
		transport.MaxConnsPerHost = 8
	}

	mux := http.NewServeMux()
	page, err := mount(mux, meter)
	if err != nil {
		return err
	}
	defer page.Close()
	l, err := net.Listen("tcp", *address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	defer server.Close()
	fmt.Fprintf(out, "http://%v/debug/lastack/\n", l.Addr())

	work(ctx, transport, *trouble)
	err = nil
	select {
	case err = <-failed:
	default:
	}
	fmt.Fprint(out, "\n", transport.Stats())
	return err
}

// mount is all that a service needs for the page.
func mount(mux *http.ServeMux, meter *metrics.Meter) (*debug.Page, error) {
	page, err := debug.New(debug.Config{Sources: []debug.Source{{Name: "example", Accounts: meter}}})
	if err != nil {
		return nil, err
	}
	mux.Handle("/debug/lastack/", page)
	return page, nil
}
