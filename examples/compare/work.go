package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lastack/lastack/examples/internal/lab"
)

// endWait bounds the end of a client, its farewells included, and
// endWaitInterrupted the same after Ctrl-C, when somebody waits.
const (
	endWait            = 5 * time.Second
	endWaitInterrupted = time.Second
)

// A job is the work of one row.
type job struct {
	s      *settings
	url    string
	team   *team
	result tally

	lives sync.WaitGroup // clients of the work "churn" that are about to end
}

// do does the work and returns what ends the last client, or the only one. That
// is to be called also when ctx has ended.
func (j *job) do(ctx context.Context) (end func()) {
	c := j.team.make()
	for i := range j.s.bursts {
		if i > 0 {
			lab.Pause(ctx, j.s.pause)
		}
		if ctx.Err() != nil {
			break
		}
		if i > 0 && j.s.work == churn {
			c.transport.CloseIdleConnections()
			old := c
			j.lives.Go(func() { j.end(ctx, old) }) // does not hold up the next
			c = j.team.make()
		}
		j.burst(ctx, c, share(j.s.requests, j.s.bursts, i))
	}
	if j.s.work == idle {
		lab.Pause(ctx, idlePause) // the last burst's connections expire too
	}
	return func() {
		j.end(ctx, c)
		j.lives.Wait()
	}
}

// burst sends n requests, as many at once as the settings say.
func (j *job) burst(ctx context.Context, c *client, n int) {
	hc := &http.Client{
		Transport:     c.transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(j.s.concurrency, n) {
		wg.Go(func() {
			for next.Add(1) <= int64(n) && ctx.Err() == nil {
				start := time.Now()
				err := j.request(ctx, hc)
				if err != nil && ctx.Err() != nil {
					return // interrupted, not failed
				}
				j.result.add(time.Since(start), err)
			}
		})
	}
	wg.Wait()
}

func (j *job) request(ctx context.Context, hc *http.Client) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.url, nil)
	if err != nil {
		return err
	}
	// A server of the user's own is asked for what the embedded one does.
	req.Close = j.s.work == closes && j.s.url != nil
	resp, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		return fmt.Errorf("the server answers %s", resp.Status)
	}
	if j.s.work == unread {
		return nil
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// end ends a client.
func (j *job) end(ctx context.Context, c *client) {
	bound := endWait
	if ctx.Err() != nil {
		bound = endWaitInterrupted
	}
	// Not ctx's cancellation, if it has come: the client is to end well.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bound)
	defer cancel()
	if err := c.end(ctx); err != nil {
		j.result.fail(fmt.Errorf("end of the client: %w", err))
	}
}

// share returns the i-th of n nearly equal parts of total.
func share(total, n, i int) int {
	part := total / n
	if i < total%n {
		part++
	}
	return part
}
