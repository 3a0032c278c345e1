package metrics

import (
	"context"
	"log/slog"
	"time"
)

// Log tells the logger of the Meter's accounts, one line at level Info each time
// that every has passed, and one for what is left when ctx ends; it returns then.
// Counts are of the time since the line before, or since Log was called; gauges
// are of the moment. If every is not positive, it is a minute.
//
//	go meter.Log(ctx, slog.Default(), time.Minute)
//
// It takes a [Meter.Snapshot] for each line, and asks the kernel nothing:
// whether the accounts agree with it the line says if somebody has called
// [Meter.Reconcile] since the line before.
func (m *Meter) Log(ctx context.Context, logger *slog.Logger, every time.Duration) {
	if every <= 0 {
		every = time.Minute
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	began, before := time.Now(), m.Snapshot()
	for over := false; !over; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			over = true
		}
		now, s := time.Now(), m.Snapshot()
		// The logger gets a context that has not ended.
		logger.LogAttrs(context.WithoutCancel(ctx), slog.LevelInfo, "connections", s.attrs(&before, now.Sub(began))...)
		began, before = now, s
	}
}

// attrs returns a summary of what has happened since before.
func (s *Snapshot) attrs(before *Snapshot, since time.Duration) []slog.Attr {
	count := func(name string, now, then uint64) slog.Attr { return slog.Uint64(name, now-then) }
	attrs := []slog.Attr{
		slog.Duration("in", since),
		count("requests", s.Requests, before.Requests),
		count("leases", s.Leases, before.Leases),
		count("reused", s.Reused, before.Reused),
		count("dials", s.Dials, before.Dials),
		count("dial_errors", s.DialErrors, before.DialErrors),
		count("waits", s.Waits, before.Waits),
		count("timeouts", s.Timeouts, before.Timeouts),
		count("retries", s.Retries, before.Retries),
		slog.Int64("busy", s.Busy),
		slog.Int64("resting", s.Resting),
		slog.Int64("leaving", s.Leaving),
		slog.Int64("waiting", s.Waiting),
		count("time_waits", s.TimeWaits, before.TimeWaits),
		count("would_have", s.WouldHave[NetHTTPDefault], before.WouldHave[NetHTTPDefault]),
	}
	if n := s.Leaks - before.Leaks; n > 0 {
		attrs = append(attrs, slog.Uint64("leaks", n))
	}
	if k := s.Kernel; k.Checked && k != before.Kernel {
		attrs = append(attrs, slog.Bool("kernel_agrees", k.Agrees))
		if k.Why != "" {
			attrs = append(attrs, slog.String("kernel_says", k.Why))
		}
	}
	return attrs
}
