package pool

import (
	"context"
	"net/url"

	"golang.org/x/sync/errgroup"
)

// warm has connections dialled until n of the key rest.
func (t *Transport) warm(ctx context.Context, key Key, proxy *url.URL, n int) error {
	g, err := t.group(key)
	if err != nil {
		return err
	}
	g.mu.Lock()
	for range g.restingLocked {
		n--
	}
	g.mu.Unlock()
	dials, ctx := errgroup.WithContext(ctx)
	dials.SetLimit(t.cfg.maxDials)
	for range n {
		dials.Go(func() error { return g.warmOne(ctx, proxy) })
	}
	return dials.Wait()
}

// warmOne dials one connection, which joins the group also when ctx has ended meanwhile.
func (g *group) warmOne(ctx context.Context, proxy *url.URL) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if !g.t.enter() {
		return &Error{Op: "dial", Key: g.key, Err: ErrClosed}
	}
	g.mu.Lock()
	g.dialing++
	g.mu.Unlock()
	result := make(chan error, 1)
	go func() {
		c, err := g.dial(ctx, proxy)
		if err == nil {
			g.dialed(c)
		} else {
			g.dialFailed(err, 0)
			g.t.exit()
			g.t.forget(g)
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
