package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/lastack/lastack/examples/internal/lab"
	"github.com/lastack/lastack/internal/cputime"
)

const (
	settleWait            = 2 * time.Second
	settleWaitInterrupted = time.Second

	// timeWaitLife is how long the kernel keeps a TIME_WAIT, less some time
	// for the count itself. A row that takes longer has lost some.
	timeWaitLife = 55 * time.Second
)

// A comparison is one run of the command.
type comparison struct {
	s      *settings
	where  lab.Location
	kernel *lab.Kernel // nil: not available
	server *lab.Child  // nil: -url
}

// compare runs all rows. It returns an error when it cannot compare at all; a
// client that fails has a row that says so.
func compare(ctx context.Context, s *settings, where lab.Location) (*report, error) {
	c := &comparison{s: s, where: where}
	r := newReport(s, where)
	k, err := lab.OpenKernel()
	if err != nil {
		r.CountNote = lab.NotAvailable(err)
	} else {
		c.kernel = k
		defer k.Close()
	}
	if s.url == nil {
		if c.server, err = lab.StartServer(); err != nil {
			return nil, err
		}
		defer c.server.Stop()
	}
	for i, kind := range contenders {
		row, err := c.row(ctx, kind, fmt.Sprintf("[%d/%d] %s", i+1, len(contenders), kind.name))
		r.Interrupted = ctx.Err() != nil
		switch {
		case err != nil && r.Interrupted:
			return r, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", kind.name, err)
		}
		r.add(row)
		if r.Interrupted {
			break
		}
	}
	return r, nil
}

// row has one contender do the work, and counts.
func (c *comparison) row(ctx context.Context, kind contender, title string) (*row, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	t, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	var before lab.View
	made := lab.TimeWaitsMade()
	if c.kernel != nil {
		if before, err = c.kernel.Look(t.servers, lab.View{}); err != nil {
			return nil, err
		}
	}
	j := &job{s: c.s, url: t.url, team: kind.team(c.s, t.tls)}
	runtime.GC() // so that no row pays for another's garbage

	stop := showProgress(os.Stderr, title, c.s.requests, j.result.done)
	start, cpu := time.Now(), cputime.Used()
	end := j.do(ctx)
	worked := time.Now()
	end()
	cpu, ended := cputime.Used()-cpu, time.Now()
	stop()

	r := newRow(kind.name, &j.result, worked.Sub(start), ended.Sub(worked), cpu)
	r.Interrupted = ctx.Err() != nil
	if err := c.count(ctx, r, t, before); err != nil {
		return nil, err
	}
	r.AtLeast = time.Since(start) > timeWaitLife
	if c.where.Private {
		r.Made = lab.TimeWaitsMade() - made // nobody else makes any here
	}
	if c.server != nil {
		r.Dialled, err = accepted(c.server, t.servers[0].String())
	} else {
		r.Dialled = j.team.dialled()
	}
	if j.team.stats != nil {
		r.stats = new(j.team.stats()) // after the count: the last look-ups are done now
	}
	return r, err
}

// count asks the kernel what is left of the row's connections.
func (c *comparison) count(ctx context.Context, r *row, t target, before lab.View) error {
	if c.kernel == nil {
		return nil
	}
	bound := settleWait
	if ctx.Err() != nil {
		bound = settleWaitInterrupted
	}
	v, err := c.kernel.Settle(context.WithoutCancel(ctx), t.servers, before, bound)
	if err != nil {
		return err
	}
	here, there := v.TimeWaits()
	r.Here, r.Unsettled = &here, v.Moving()
	if t.local {
		r.There = &there
	}
	return nil
}
