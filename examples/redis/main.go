// Command redis has go-redis, the client library that most programs use, make
// its connections with a dialer.Dialer, to a redis-server that it starts itself.
// It prints what the kernel counts of each way to make them.
//
//	go run ./examples/redis
//
// What a program changes is in clients.go. It is a module of its own, so that
// nobody who imports the library gets go-redis with it.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/lastack/lastack/examples/internal/lab"
)

const (
	clients = 200 // of short life, as of a job that runs for every event
	atOnce  = 8
	calls   = 3 // of each
)

func main() { lab.Main(run) }

func run(ctx context.Context, k *lab.Kernel) error {
	lines := [][]string{
		{"", "", "", "TIME_WAIT", "TIME_WAIT", ""},
		{"", "calls", "counted", "this side", "server", "took"},
	}
	for _, kind := range kinds() {
		l, err := measure(ctx, k, kind)
		if err != nil {
			return err
		}
		lines = append(lines, l)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d clients of short life, each of which makes %d calls to a redis-server and closes\n\n", clients, calls)
	lab.Table(&b, lines)
	b.WriteString(explanation)
	_, err := b.WriteTo(os.Stdout)
	return err
}

const explanation = `
The Dialer knows nothing of Redis. It goes by who spoke last, as the kernel tells it; where question and answer fall into
the same tick of the kernel's clock, as over loopback, it cannot tell, and closes plainly. A program that knows the
protocol says more: that a reset does no harm (Abort), or goodbye (QUIT, after which the server closes first).
`

// measure has clients of the kind work with a server of their own, and counts.
func measure(ctx context.Context, k *lab.Kernel, kind kind) ([]string, error) {
	s, err := startServer(ctx)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	start := time.Now()
	counted, err := work(ctx, kind, s.addr.String())
	took := time.Since(start)
	if kind.end != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, kind.end(ctx))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind.name, err)
	}
	c, err := k.Count(ctx, s.addr)
	return []string{kind.name, strconv.Itoa(clients * calls), strconv.FormatInt(counted, 10),
		c.Here, c.There, took.Round(time.Millisecond).String()}, err
}

// work makes the clients, and returns what the server has counted.
func work(ctx context.Context, kind kind, address string) (counted int64, err error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range atOnce {
		wg.Go(func() {
			for next.Add(1) <= clients && ctx.Err() == nil {
				n, e := job(ctx, kind.client(address))
				mu.Lock()
				counted, err = max(counted, n), errors.Join(err, e)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return counted, err
}

// job is the life of one client. It returns the last count.
func job(ctx context.Context, c *redis.Client) (n int64, err error) {
	for range calls {
		if n, err = c.Incr(ctx, "events").Result(); err != nil {
			break
		}
	}
	return n, errors.Join(err, c.Close())
}
