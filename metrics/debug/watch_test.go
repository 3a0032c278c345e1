package debug

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/metrics"
)

// counting is accounts that count how often they are asked.
type counting struct{ asked uint64 }

func (c *counting) Snapshot() metrics.Snapshot {
	c.asked++
	return metrics.Snapshot{Requests: c.asked}
}

// TestHistory: a sample every five seconds, for a quarter of an hour, from
// before anybody looked; and what a look was given stays as it is.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		diagnosed := 0
		p, err := New(Config{
			Sources: []Source{{"x", &counting{}}},
			Diagnose: func(context.Context) (dialer.Report, error) {
				diagnosed++
				time.Sleep(50 * time.Millisecond)
				return dialer.Report{Kernel: "6.18"}, errors.New("in part")
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		start := time.Now()
		time.Sleep(time.Minute + time.Second)
		if diagnosed != 0 {
			t.Errorf("the kernel was asked %d times though nobody looked", diagnosed)
		}
		early, err := p.look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h := early.sources[0].history
		if len(h) != 14 || !h[0].at.Equal(start) || h[1].at.Sub(h[0].at) != sampleEvery || h[12].at.Sub(start) != time.Minute {
			t.Fatalf("after 61 s: %d samples from %v", len(h), h[0].at.Sub(start))
		}
		if early.machine.report.Kernel != "6.18" || early.machine.err == nil {
			t.Errorf("the machine: %+v", early.machine)
		}
		before := append([]sample(nil), h...)

		time.Sleep(time.Hour)
		late, err := p.look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h = late.sources[0].history
		if len(h) != 182 || late.at.Sub(h[0].at) < sampleFor || late.at.Sub(h[0].at) > sampleFor+2*sampleEvery {
			t.Errorf("after an hour: %d samples, the first %v old", len(h), late.at.Sub(h[0].at))
		}
		for i, k := range early.sources[0].history {
			if k.requests != before[i].requests || !k.at.Equal(before[i].at) {
				t.Fatalf("sample %d of what was seen has changed", i)
			}
		}
	})
}

// TestLooksAreShared: however many look, the accounts are read about once a
// second, and the kernel is asked for a twentieth of the time at most.
func TestLooksAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		accounts, diagnosed := &counting{}, 0
		const took = 500 * time.Millisecond
		p, err := New(Config{
			Sources: []Source{{"x", accounts}},
			Diagnose: func(context.Context) (dialer.Report, error) {
				diagnosed++
				time.Sleep(took)
				return dialer.Report{}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for range 1000 {
			if _, err := p.look(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if accounts.asked < 100 || accounts.asked > 145 {
			t.Errorf("the accounts were read %d times in 100 s", accounts.asked)
		}
		if share := float64(diagnosed) * took.Seconds() / 105; share > 0.07 || diagnosed < 5 {
			t.Errorf("the kernel was asked %d times, %.2f of the time", diagnosed, share)
		}
	})
}

// TestStuck: accounts that do not answer keep nobody for ever, and Close still
// works once they do.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		p, err := New(Config{
			Sources:  []Source{{"x", Func(func() metrics.Snapshot { <-free; return metrics.Snapshot{} })}},
			Diagnose: func(context.Context) (dialer.Report, error) { return dialer.Report{}, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), answerWithin)
		defer cancel()
		if _, err := p.look(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		close(free)
		p.Close()
		if _, err := p.look(t.Context()); err == nil {
			t.Error("a closed page can be looked at")
		}
	})
}

// TestSlowDiagnosis is given up, and the rest is shown.
func TestSlowDiagnosis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := New(Config{
			Sources: []Source{{"x", &counting{}}},
			Diagnose: func(ctx context.Context) (dialer.Report, error) {
				<-ctx.Done()
				return dialer.Report{}, ctx.Err()
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		begin := time.Now()
		l, err := p.look(t.Context())
		if err != nil || !errors.Is(l.machine.err, context.DeadlineExceeded) || time.Since(begin) != diagnoseWithin {
			t.Errorf("%v, %v, after %v", l.machine.err, err, time.Since(begin))
		}
	})
}
