package pool

import (
	"context"
	"errors"
	"net/url"
	"slices"
)

// A warming is a call of Warm. It is guarded by the group's mu.
type warming struct {
	ctx     context.Context // whose values its dials take
	todo    int             // dials that have not begun
	running int             // dials in progress
	done    chan error      // holds one
}

// warm has connections dialled until n of the key rest.
func (t *Transport) warm(ctx context.Context, key Key, proxy *url.URL, n int) error {
	if t.cfg.closeAlways {
		return errors.New("pool: nothing to warm: no connection may rest")
	}
	for _, limit := range []int{t.cfg.maxIdle, t.cfg.maxIdleAll} {
		if limit > 0 {
			n = min(n, limit)
		}
	}
	w := &warming{ctx: ctx, done: make(chan error, 1)}
	g, err := t.beginWarm(key, proxy, w, n)
	if err != nil {
		return err
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		g.mu.Lock()
		g.warmedLocked(w, nil) // what is being dialled joins the group
		g.mu.Unlock()
		return context.Cause(ctx)
	}
}

// beginWarm has the group of the key dial for w.
func (t *Transport) beginWarm(key Key, proxy *url.URL, w *warming, n int) (*group, error) {
	for {
		g, err := t.group(key, proxy)
		if err != nil {
			return nil, err
		}
		g.mu.Lock()
		if g.dead || g.closed {
			g.mu.Unlock()
			continue
		}
		g.draining = false
		g.warmings = append(g.warmings, w)
		if w.todo = max(0, n-(g.atRest-len(g.retired))); w.todo == 0 {
			g.warmedLocked(w, nil)
		}
		g.dialLocked()
		g.mu.Unlock()
		return g, nil
	}
}

// warmedLocked ends a warming, if that has not been.
func (g *group) warmedLocked(w *warming, err error) {
	if i := slices.Index(g.warmings, w); i >= 0 {
		g.warmings = slices.Delete(g.warmings, i, i+1)
		w.todo = 0
		w.done <- err
	}
}
