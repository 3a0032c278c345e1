package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// retries is how often a test that fails runs again, alone: one that passes
// then is flaky.
const retries = 2

// A round is the suite run once, with or without the pool.
type round struct {
	results results           // the last result of each test
	flaky   map[test]int      // passes in the retries of tests that have failed
	known   map[test]bool     // known differences: whether they still are
	exits   map[string]string // packages that failed without a failing test, to what they said
}

// round runs all packages. With the pool it leaves out what is on the lists;
// known differences then run by themselves: some crash, and net/http looks for
// leaked goroutines only when all else has passed.
func (r *runner) round(ctx context.Context, pooled bool, notes string) (*round, error) {
	out := &round{
		results: make(results), flaky: make(map[test]int),
		known: make(map[test]bool), exits: make(map[string]string),
	}
	for _, pkg := range packages {
		j := job{pkg: pkg, pooled: pooled, notes: notes}
		if pooled {
			j.skip = r.lists.names(pkg)
		}
		p, err := r.whole(ctx, j)
		if err != nil {
			return nil, err
		}
		maps.Copy(out.results, p.results)
		if err := r.retry(ctx, out, j, p.results); err != nil {
			return nil, err
		}
		if p.results.count(failed) == 0 && !p.passed {
			out.exits[pkg] = p.output.String()
		}
	}
	return out, nil
}

// retry runs the tests that have failed again.
func (r *runner) retry(ctx context.Context, out *round, j job, rs results) error {
	for t, res := range rs {
		if t != t.top() || res.outcome != failed {
			continue
		}
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
	for t, res := range stock {
		if t != t.top() || res.outcome != passed {
			continue
		}
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

// sorted returns the tests in the order of their packages and names.
func sorted(tests []test) []test {
	slices.SortFunc(tests, func(a, b test) int { return strings.Compare(a.String(), b.String()) })
	return tests
}

// writeCalls prints which tests call Transport.RoundTrip at all.
func (r *runner) writeCalls(ctx context.Context, w io.Writer, v *verdict) error {
	calling, err := r.callers(ctx, v.stock.results)
	if err != nil {
		return err
	}
	n := 0
	for _, t := range calling {
		if v.pooled.passes(t) && !v.differs(t) {
			n++
		}
	}
	fmt.Fprintf(w, "%6d call Transport.RoundTrip at all, and %d of these pass with the pool:\n", len(calling), n)
	for _, t := range sorted(calling) {
		fmt.Fprintf(w, "\t%v\n", t)
	}
	return nil
}
