package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// retries is how often a test that fails runs again, alone: one that passes
// then is flaky.
const retries = 2

// A round is the suite run once, with or without the pool.
type round struct {
	results results           // the last result of each test
	flaky   map[test]int      // passes of tests that had not passed at first
	known   map[test]bool     // known differences: whether they still are
	exits   map[string]string // packages that failed without a failing test, to what they said
}

func newRound() *round {
	return &round{results: make(results), flaky: make(map[test]int), known: make(map[test]bool), exits: make(map[string]string)}
}

// stock runs all packages as they are.
func (r *runner) stock(ctx context.Context) (*round, error) {
	out := newRound()
	for _, pkg := range packages {
		again := func(rs results) []test { return rs.tops(failed) }
		if err := r.pkg(ctx, out, job{pkg: pkg}, again); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// pooled runs all packages with the pool, and without what is on the lists:
// known differences run by themselves, since some crash, and net/http looks for
// leaked goroutines only when all else has passed. What stock has passed, and the
// pool has not, runs again.
func (r *runner) pooled(ctx context.Context, stock *round, notes string) (*round, error) {
	out := newRound()
	for _, pkg := range packages {
		again := func(rs results) []test {
			return slices.DeleteFunc(stock.passing(), func(t test) bool {
				return t.pkg != pkg || rs.outcome(t) == passed || r.lists.has(t)
			})
		}
		if err := r.pkg(ctx, out, job{pkg: pkg, pooled: true, notes: notes, skip: r.lists.names(pkg)}, again); err != nil {
			return nil, err
		}
	}
	return out, r.knownStill(ctx, out, stock.results, notes)
}

// pkg runs one package, and then those of its tests alone that again names.
func (r *runner) pkg(ctx context.Context, out *round, j job, again func(results) []test) error {
	p, err := r.whole(ctx, j)
	if err != nil {
		return err
	}
	maps.Copy(out.results, p.results)
	if p.results.count(failed) == 0 && !p.passed {
		out.exits[j.pkg] = p.output.String()
	}
	for _, t := range again(p.results) {
		for range retries {
			p, err := r.single(ctx, j, t.name)
			if err != nil {
				return err
			}
			if p.results.outcome(t) == passed {
				out.flaky[t]++
			}
		}
	}
	return nil
}

// knownTimeout is for a known difference: a test may show it by hanging.
const knownTimeout = 10 * time.Second

// knownStill runs each known difference that stock net/http passes, as often
// as it takes to see it fail, and up to three times.
func (r *runner) knownStill(ctx context.Context, out *round, stock results, notes string) error {
	for _, e := range r.lists.known {
		if stock.outcome(e.test) != passed {
			continue // not in this form
		}
		j := job{pkg: e.test.pkg, pooled: true, notes: notes, timeout: knownTimeout}
		differs := false
		for range 1 + retries {
			p, err := r.single(ctx, j, e.test.name)
			if err != nil {
				return err
			}
			for t, res := range p.results {
				if t.isPartOf(e.test) {
					out.results[t] = res
				}
			}
			if differs = p.results.outcome(e.test) != passed; differs {
				break
			}
		}
		out.known[e.test] = differs
	}
	return nil
}

// callers returns the tests that call Transport.RoundTrip at all. It runs each
// in a process of its own.
func (r *runner) callers(ctx context.Context, stock results) ([]test, error) {
	var calling []test
	for _, t := range stock.tops(passed) {
		notes := filepath.Join(r.dir, "calls")
		if err := os.RemoveAll(notes); err != nil {
			return nil, err
		}
		if _, err := r.single(ctx, job{pkg: t.pkg, pooled: true, notes: notes}, t.name); err != nil {
			return nil, err
		}
		if _, err := os.Stat(notes); err == nil {
			calling = append(calling, t)
		}
	}
	return calling, nil
}

// writeCalls prints which tests call Transport.RoundTrip at all.
func (r *runner) writeCalls(ctx context.Context, w io.Writer, v *verdict) error {
	calling, err := r.callers(ctx, v.stock.results)
	if err != nil {
		return err
	}
	n := 0
	for _, t := range calling {
		if v.passes(t) {
			n++
		}
	}
	fmt.Fprintf(w, "%6d call Transport.RoundTrip at all, and %d of these pass with the pool:\n", len(calling), n)
	for _, t := range calling {
		fmt.Fprintf(w, "\t%v\n", t)
	}
	return nil
}
