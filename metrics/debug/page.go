package debug

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/metrics"
)

// Config is what a [Page] shows, and to whom.
type Config struct {
	// Sources are the accounts to show, the first of them first. There must
	// be one at least.
	Sources []Source

	// Allow says whether whoever sent the request may see the page. Nil:
	// [Local]. It may be called by several goroutines at a time.
	Allow func(*http.Request) bool

	// Diagnose examines the machine's ports and sockets. Nil:
	// [dialer.Diagnose].
	Diagnose func(context.Context) (dialer.Report, error)
}

// A Source is one pool, or whatever else keeps accounts.
type Source struct {
	Name     string // to tell it from the others; it must differ from theirs
	Accounts Accounts
}

// Accounts are what a [metrics.Meter] keeps. If they have its methods Reconcile,
// Census and Lives too, the page shows what those return.
type Accounts interface {
	Snapshot() metrics.Snapshot
}

// Func makes Accounts of a function such as the method Stats of a
// pool.Transport.
type Func func() metrics.Snapshot

// Snapshot calls f.
func (f Func) Snapshot() metrics.Snapshot { return f() }

// A Page is the handler that serves the page; [New] makes it. Its methods may
// be called by several goroutines at a time.
type Page struct {
	config Config
	looks  chan chan *look // who asks run for what there is to see
	cancel context.CancelFunc
	done   chan struct{} // closed when run has ended
	once   sync.Once
}

var _ http.Handler = (*Page)(nil)

// New returns a Page and begins to take samples. The Page must be closed when
// it is not needed any more.
func New(c Config) (*Page, error) {
	if len(c.Sources) == 0 {
		return nil, errors.New("debug: no Sources")
	}
	c.Sources = slices.Clone(c.Sources)
	names := make(map[string]bool)
	for i, s := range c.Sources {
		if missing(s.Accounts) {
			return nil, fmt.Errorf("debug: Sources[%d], %q, has no Accounts: what a pool that was given no Meter keeps is Func(transport.Stats)", i, s.Name)
		}
		if names[s.Name] {
			return nil, fmt.Errorf("debug: two Sources are called %q", s.Name)
		}
		names[s.Name] = true
	}
	if c.Allow == nil {
		c.Allow = Local
	}
	if c.Diagnose == nil {
		c.Diagnose = dialer.Diagnose
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Page{config: c, looks: make(chan chan *look), cancel: cancel, done: make(chan struct{})}
	w := newWatcher(c)
	go func() {
		defer close(p.done)
		w.run(ctx, p.looks)
	}()
	return p, nil
}

// missing reports whether there are no accounts, also where the interface holds
// a nil: the Meter of a pool.Transport that was not given one is such. The page
// reads them on a goroutine of its own, where that would end the program.
func missing(a Accounts) bool {
	switch a := a.(type) {
	case nil:
		return true
	case *metrics.Meter:
		return a == nil
	case Func:
		return a == nil
	}
	return false
}

// Close ends the taking of samples and waits for that. From then on the Page
// answers 503 Service Unavailable.
func (p *Page) Close() error {
	p.once.Do(p.cancel)
	<-p.done
	return nil
}

// look returns what there is to see now.
func (p *Page) look(ctx context.Context) (*look, error) {
	answer := make(chan *look, 1)
	select {
	case p.looks <- answer:
	case <-p.done:
		return nil, errors.New("debug: the page is closed")
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case l := <-answer:
		return l, nil
	case <-p.done:
		return nil, errors.New("debug: the page is closed")
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
