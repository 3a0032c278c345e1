package main

import (
	"fmt"
	"io"
	"slices"
)

// A verdict is what the two rounds say together.
type verdict struct {
	stock, pooled *round
	failing       []test   // pass stock, fail with the pool, and are on no list
	handedBack    []string // requests that a pool has given back to Base
	stale         []string // what is wrong with the lists
	broken        []string // packages that failed otherwise
	lists         lists
	whole         bool // all tests ran, not those of a pattern
}

func judge(stock, pooled *round, handedBack []string, l lists, whole bool) *verdict {
	v := &verdict{stock: stock, pooled: pooled, handedBack: handedBack, lists: l, whole: whole}
	for _, t := range stock.passing() {
		if !pooled.passes(t) && !l.has(t) {
			v.failing = append(v.failing, t)
		}
	}
	if len(stock.passing()) == 0 {
		v.broken = append(v.broken, "no test passes with stock net/http")
	}
	for pkg, output := range pooled.exits {
		if _, also := stock.exits[pkg]; !also {
			v.broken = append(v.broken, pkg+" fails although its tests pass:\n"+output)
		}
	}
	slices.Sort(v.broken)
	v.checkLists()
	return v
}

// checkLists finds the entries that should go.
func (v *verdict) checkLists() {
	for _, e := range slices.Concat(v.lists.leftOut, v.lists.known) {
		if v.whole && v.stock.results[e.test] == nil {
			v.stale = append(v.stale, fmt.Sprintf("%v is on a list and does not exist", e.test))
		}
	}
	for _, e := range v.lists.known {
		differs, ran := v.pooled.known[e.test]
		if !ran {
			continue
		}
		if !differs {
			v.stale = append(v.stale, fmt.Sprintf("%v is a known difference and passes", e.test))
			continue
		}
		for t, res := range v.pooled.results.leaves() {
			if t.isPartOf(e.test) && t != e.test && res.outcome == passed {
				v.stale = append(v.stale, fmt.Sprintf("%v is a part of a known difference and passes", t))
			}
		}
	}
	slices.Sort(v.stale)
}

// passes reports whether the test has passed in the round, at the first try or
// a later one.
func (r *round) passes(t test) bool { return r.results.outcome(t) == passed || r.flaky[t] > 0 }

// passing returns the tests that have passed, without their subtests, in order.
func (r *round) passing() []test {
	tests := r.results.tops(passed)
	for t := range r.flaky {
		if r.results.outcome(t) != passed {
			tests = append(tests, t)
		}
	}
	return sorted(tests)
}

// ok reports whether the pool is as it should be.
func (v *verdict) ok() bool {
	return len(v.failing)+len(v.handedBack)+len(v.stale)+len(v.broken) == 0
}

// write prints the numbers, and what is wrong. With verbose it prints what
// flaky tests and known differences said, too.
func (v *verdict) write(w io.Writer, verbose bool) {
	stock := v.stock.passing()
	pooled := slices.DeleteFunc(slices.Clone(stock), func(t test) bool { return !v.passes(t) })
	fmt.Fprintf(w, "%6d tests pass with stock net/http", len(stock))
	if n := v.stock.results.count(skipped); n > 0 {
		fmt.Fprintf(w, "; %d skip themselves", n)
	}
	if n := v.stock.results.count(failed) - len(v.stock.flaky); n > 0 {
		fmt.Fprintf(w, "; %d fail", n)
	}
	fmt.Fprintf(w, "\n%6d of them pass with the pool\n", len(pooled))
	v.writeLists(w, verbose)
	if len(v.pooled.flaky) > 0 {
		fmt.Fprintf(w, "%6d of them passed only when they ran again\n", len(v.pooled.flaky))
		for t := range v.pooled.flaky {
			fmt.Fprintf(w, "\t%v\n", t)
			v.writeOutput(w, t, verbose)
		}
	}
	for _, t := range v.failing {
		fmt.Fprintf(w, "FAIL: %v\n", t)
		v.writeOutput(w, t, true)
	}
	for _, s := range v.handedBack {
		fmt.Fprintf(w, "FAIL: handed back to Base.RoundTrip: %s\n", s)
	}
	for _, s := range slices.Concat(v.stale, v.broken) {
		fmt.Fprintf(w, "FAIL: %s\n", s)
	}
}

// passes reports whether the test passes in both rounds, with all of its parts.
func (v *verdict) passes(t test) bool {
	differs := slices.ContainsFunc(v.lists.known, func(e entry) bool { return e.test.isPartOf(t) && v.pooled.known[e.test] })
	return v.stock.passes(t) && v.pooled.passes(t) && !differs
}

func (v *verdict) writeLists(w io.Writer, verbose bool) {
	for _, list := range []struct {
		title   string
		entries []entry
	}{
		{"are left out, since they look into http.Transport itself", v.lists.leftOut},
		{"are known differences", v.lists.known},
	} {
		var here []entry
		for _, e := range list.entries {
			if v.stock.results.outcome(e.test) == passed {
				here = append(here, e)
			}
		}
		if len(here) == 0 {
			continue
		}
		fmt.Fprintf(w, "%6d of them %s\n", len(here), list.title)
		for _, e := range here {
			fmt.Fprintf(w, "\t%s: %s\n", e.test.name, e.reason)
			if _, ran := v.pooled.known[e.test]; ran {
				v.writeOutput(w, e.test, verbose)
			}
		}
	}
}

// writeOutput prints what the test and its subtests said.
func (v *verdict) writeOutput(w io.Writer, t test, verbose bool) {
	if !verbose {
		return
	}
	var parts []test
	for part := range v.pooled.results {
		if part.isPartOf(t) {
			parts = append(parts, part)
		}
	}
	const most = 4000
	for _, part := range sorted(parts) {
		s := v.pooled.results[part].output.String()
		if len(s) > most {
			s = s[:most] + "\n...\n"
		}
		fmt.Fprint(w, s)
	}
}
