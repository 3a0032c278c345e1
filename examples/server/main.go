// Command server runs net/http's server and grpc-go's, each behind the listener
// that they have in any program and behind one of a linger.Closer, has clients
// connect to them, shuts them down, and prints what the kernel counts then.
//
//	go run ./examples/server
//
// What a program changes is the function ended in server.go. A TIME_WAIT of a
// server costs it memory, and no port; but it is in the way of one that makes
// calls from the same address itself, of a proxy that uses its ports again, and of
// one that is to be started anew without SO_REUSEADDR.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/lastack/lastack/examples/internal/lab"
	"github.com/lastack/lastack/metrics"
)

const conns = 100 // of each server

func main() { lab.Main(run) }

func run(ctx context.Context, k *lab.Kernel) error {
	lines := [][]string{
		{"", "", "TIME_WAIT", "TIME_WAIT", ""},
		{"", "connections", "server", "clients", "Shutdown took"},
	}
	var accounts bytes.Buffer
	for _, s := range servers {
		stock, err := measure(ctx, k, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		var meter metrics.Meter
		ours := s
		ours.serve = ended(s.serve, &meter)
		mine, err := measure(ctx, k, ours)
		if err != nil {
			return fmt.Errorf("%s behind linger: %w", s.name, err)
		}
		lines = append(lines, append([]string{s.name}, stock...), append([]string{"  behind linger.Closer.Listener"}, mine...))
		snapshot := meter.Snapshot()
		fmt.Fprintf(&accounts, "%s: %d connections, ended %v, %d TIME_WAITs; balance: %v\n", s.name, snapshot.Born,
			snapshot.Ended, snapshot.TimeWaits, snapshot.Balance())
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "each server has %d connections at rest, and is shut down\n\n", conns)
	lab.Table(&b, lines)
	b.WriteString(explanation)
	fmt.Fprintf(&b, "\nThe accounts of the listeners:\n%s", &accounts)
	_, err := b.WriteTo(os.Stdout)
	return err
}

const explanation = `
GracefulStop asks the clients to close first, and those of grpc-go do: the TIME_WAITs are theirs, and theirs to avoid,
by grpcpool.DialOptions. A client that does not close is the listener's to end.
`

// measure has clients connect to a server, shuts it down, and counts.
func measure(ctx context.Context, k *lab.Kernel, s server) ([]string, error) {
	l, err := lab.Listen()
	if err != nil {
		return nil, err
	}
	addr := l.AddrPort()
	shutdown := s.serve(l)
	done, err := s.work(ctx, addr.String())
	start := time.Now()
	endCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = errors.Join(err, shutdown(endCtx))
	took := time.Since(start)
	done()
	if err != nil {
		return nil, err
	}
	c, err := k.Count(ctx, addr)
	return []string{strconv.Itoa(l.Accepted()), c.There, c.Here, took.Round(time.Millisecond).String()}, err
}
