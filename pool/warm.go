package pool

import (
	"context"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"
)

// warm has connections dialled until n of the key rest.
func (t *Transport) warm(ctx context.Context, key Key, proxy *url.URL, n int) error {
	dials, ctx := errgroup.WithContext(ctx)
	dials.SetLimit(t.cfg.maxDials)
	g, err := t.group(key, proxy)
	if err != nil {
		return err
	}
	g.mu.Lock()
	for c := range g.restingLocked {
		if !c.retired {
			n--
		}
	}
	if limit := t.cfg.maxConns; limit > 0 {
		n = min(n, limit-len(g.live)-g.dialing)
	}
	g.mu.Unlock()
	for range max(0, n) {
		dials.Go(func() error { return t.warmOne(ctx, key, proxy) })
	}
	return dials.Wait()
}

// warmOne dials one connection, which joins the group also when ctx has ended
// meanwhile.
func (t *Transport) warmOne(ctx context.Context, key Key, proxy *url.URL) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	g, err := t.beginWarm(key, proxy)
	if err != nil {
		return err
	}
	result := make(chan error, 1)
	d := &dial{began: time.Now()}
	go func() {
		c, err := g.dial(ctx)
		if err == nil {
			g.dialed(d, c)
		} else {
			err = g.dialFailed(d, err)
			t.exit()
			t.forget(g)
		}
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// beginWarm counts a dial in the group of the key, which keeps the group alive.
func (t *Transport) beginWarm(key Key, proxy *url.URL) (*group, error) {
	for {
		g, err := t.group(key, proxy)
		if err != nil {
			return nil, err
		}
		g.mu.Lock()
		alive := !g.dead && !g.closed && t.enter()
		if alive {
			g.dialing++
			g.draining = false
		}
		g.mu.Unlock()
		if alive {
			return g, nil
		}
	}
}
