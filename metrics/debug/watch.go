package debug

import (
	"context"
	"time"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/metrics"
	"github.com/lastack/lastack/metrics/debug/internal/past"
)

const (
	// How often samples are taken, and for how long they are kept.
	sampleEvery = 5 * time.Second
	sampleFor   = 15 * time.Minute

	// lookEvery is how old what is shown may be, however many people look.
	lookEvery = 900 * time.Millisecond

	// The kernel is asked no more often than diagnoseEvery, for no longer than
	// diagnoseWithin, and for one part in diagnoseShare of the time.
	diagnoseEvery  = 2 * time.Second
	diagnoseWithin = 2 * time.Second
	diagnoseShare  = 20
)

// A look is what there is to see at one moment. Nothing in it changes any more.
type look struct {
	at      time.Time
	since   time.Time // when the first sample was taken
	sources []sourceLook
	machine machineLook
}

// A sourceLook is what one source looks like.
type sourceLook struct {
	name     string
	snapshot metrics.Snapshot
	history  []sample // the last is of now

	kernel kernelLook

	lives    []metrics.Life
	hasLives bool // the source keeps them
}

// A kernelLook is what the kernel says of one source.
type kernelLook struct {
	can     bool // the source can be held against the kernel
	says    metrics.Reconciliation
	err     error
	sockets metrics.Sockets // of all, and which are the source's
}

// What a [metrics.Meter] can say beyond its Snapshot.
type (
	reconciler interface {
		Reconcile(context.Context) (metrics.Reconciliation, error)
	}
	censor interface {
		Census(context.Context) (metrics.Sockets, error)
	}
	chronicler interface{ Lives() []metrics.Life }
)

// A machineLook is what the machine looks like.
type machineLook struct {
	report dialer.Report
	err    error
}

// A watcher takes the samples and looks at the sources and the machine. It
// belongs to one goroutine.
type watcher struct {
	config  Config
	since   time.Time
	history [][]sample // of each source
	last    *look
	machine machineLook
	kernel  []kernelLook // of each source
	rest    time.Time    // when the kernel may be asked again
}

func newWatcher(c Config) *watcher {
	w := &watcher{config: c, since: time.Now(), history: make([][]sample, len(c.Sources)), kernel: make([]kernelLook, len(c.Sources))}
	for i, s := range c.Sources {
		k, ok := s.Accounts.(past.Keeper)
		if !ok {
			continue
		}
		for _, m := range k.Past() {
			w.history[i] = append(w.history[i], newSample(m.At, m.Snapshot))
			if m.At.Before(w.since) {
				w.since = m.At
			}
		}
	}
	return w
}

// run takes samples and answers those who look, until ctx ends.
func (w *watcher) run(ctx context.Context, looks <-chan chan *look) {
	w.sample()
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.sample()
		case answer := <-looks:
			if w.last == nil || time.Since(w.last.at) >= lookEvery {
				w.last = w.look(ctx)
			}
			answer <- w.last
		}
	}
}

// sample adds a sample of each source to its history. What a look has been
// given of the history stays as it is: samples are only ever appended, and
// forgotten ones cut off.
func (w *watcher) sample() {
	for i, s := range w.config.Sources {
		h := append(w.history[i], newSample(time.Now(), s.Accounts.Snapshot()))
		if extra := len(h) - int(sampleFor/sampleEvery) - 1; extra > 0 {
			h = h[extra:]
		}
		w.history[i] = h
	}
}

func (w *watcher) look(ctx context.Context) *look {
	if now := time.Now(); !now.Before(w.rest) {
		w.askKernel(ctx)
		took := time.Since(now)
		w.rest = now.Add(max(diagnoseEvery, took*diagnoseShare))
	}
	l := &look{since: w.since, machine: w.machine}
	for i, s := range w.config.Sources {
		l.sources = append(l.sources, lookAt(s, w.history[i], w.kernel[i]))
	}
	l.at = time.Now()
	return l
}

// askKernel asks it about the machine and about each source.
func (w *watcher) askKernel(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, diagnoseWithin)
	defer cancel()
	report, err := w.config.Diagnose(ctx)
	w.machine = machineLook{report: report, err: err}
	for i, s := range w.config.Sources {
		var k kernelLook
		if a, ok := s.Accounts.(reconciler); ok {
			k.can = true
			k.says, k.err = a.Reconcile(ctx)
		}
		if a, ok := s.Accounts.(censor); ok {
			k.sockets, _ = a.Census(ctx) // Diagnose says why
		}
		w.kernel[i] = k
	}
}

func lookAt(s Source, history []sample, kernel kernelLook) sourceLook {
	l := sourceLook{name: s.Name, snapshot: s.Accounts.Snapshot(), kernel: kernel}
	now := newSample(time.Now(), l.snapshot)
	l.history = append(history[:len(history):len(history)], now)
	if k := l.snapshot.Kernel; !kernel.can && k.Checked { // somebody else asks for it
		l.kernel.can, l.kernel.says = true, k
	}
	if a, ok := s.Accounts.(chronicler); ok {
		l.lives, l.hasLives = a.Lives(), true
	}
	return l
}
