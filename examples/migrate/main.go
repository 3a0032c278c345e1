// Command migrate moves a service from a tuned http.Transport to pool.Transport,
// and measures it before, after the first step, and at the end.
//
//	go run ./examples/migrate
//
// before.go is what the service had, after.go what it has become; the program
// prints what was deleted in between, and why.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/lastack/lastack/examples/internal/lab"
)

// The work: bursts of calls, as by a service whose own callers come in waves.
const (
	bursts   = 10
	callers  = 64
	maxCalls = 100 // of the service at a time
	pause    = 20 * time.Millisecond
	answer   = 5 * time.Millisecond // how long the server takes

	refreshEvery = 200 * time.Millisecond // a minute where somebody has the time
)

// A service is the client of another service.
type service interface {
	call(ctx context.Context, url string) error
	end(context.Context) error
}

func main() { lab.Main(migrate) }

func migrate(ctx context.Context, k *lab.Kernel) error {
	lines := [][]string{
		{"", "", "", "connections", "TIME_WAIT", "TIME_WAIT"},
		{"", "calls", "failed", "dialled", "this side", "server"},
	}
	last := newAfter()
	for _, s := range []struct {
		name string
		make func() service
	}{
		{"before: a tuned http.Transport", func() service { return newBefore(capped()) }},
		{"first step: pool.Transport{Base: it}", func() service { return newFirstStep() }},
		{"after: what the pool does is deleted", func() service { return last }},
	} {
		l, err := measure(ctx, k, s.name, s.make())
		if err != nil {
			return err
		}
		lines = append(lines, l)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d bursts of %d calls\n\n", bursts, callers)
	lab.Table(&b, lines)
	fmt.Fprint(&b, deleted, "\nIts own account:\n", last.pool.Stats())
	_, err := b.WriteTo(os.Stdout)
	return err
}

// measure has the service work with a server of its own, and counts.
func measure(ctx context.Context, k *lab.Kernel, name string, s service) ([]string, error) {
	l, err := lab.Listen()
	if err != nil {
		return nil, err
	}
	body := bytes.Repeat([]byte("."), 8<<10)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(answer)
		w.Write(body)
	})}
	go srv.Serve(l)
	defer srv.Close()

	failed, err := work(ctx, s, "http://"+l.Addr().String()+"/")
	endCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := errors.Join(err, s.end(endCtx)); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c, err := k.Count(ctx, l.AddrPort())
	return []string{name, strconv.Itoa(bursts * callers), strconv.Itoa(failed),
		strconv.Itoa(l.Accepted()), c.Here, c.There}, err
}

// work makes the calls, and returns how many failed.
func work(ctx context.Context, s service, url string) (failed int, err error) {
	var mu sync.Mutex
	for range bursts {
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				if err := s.call(ctx, url); err != nil {
					mu.Lock()
					failed++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		lab.Pause(ctx, pause)
		if ctx.Err() != nil {
			return failed, context.Cause(ctx)
		}
	}
	return failed, nil
}

// get asks for the page. The service wants no more of it than that it is there.
func get(ctx context.Context, c *http.Client, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	if err == nil && resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		err = errors.New(resp.Status)
	}
	return resp, err
}
