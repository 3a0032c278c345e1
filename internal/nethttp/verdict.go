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
	for t, res := range pooled.results {
		onList := slices.ContainsFunc(v.lists.known, func(e entry) bool { return t.isPartOf(e.test) })
		if t == t.top() && res.outcome == failed && pooled.flaky[t] == 0 && !onList && stock.passes(t) {
			v.failing = append(v.failing, t)
		}
	}
	sorted(v.failing)
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

// passing returns how many tests have passed.
func (r *round) passing() int {
	n := 0
	for t := range r.results {
		if t == t.top() && r.passes(t) {
			n++
		}
	}
	return n
}

// ok reports whether the pool is as it should be.
func (v *verdict) ok() bool {
	return len(v.failing)+len(v.handedBack)+len(v.stale)+len(v.broken) == 0
}

// write prints the numbers, and what is wrong. With verbose it prints what
// flaky tests and known differences said, too.
func (v *verdict) write(w io.Writer, verbose bool) {
	fmt.Fprintf(w, "%6d tests pass with stock net/http", v.stock.passing())
	if n := v.stock.results.count(skipped); n > 0 {
		fmt.Fprintf(w, "; %d skip themselves", n)
	}
	if n := v.stock.results.count(failed) - len(v.stock.flaky); n > 0 {
		fmt.Fprintf(w, "; %d fail", n)
	}
	fmt.Fprintf(w, "\n%6d of them pass with the pool\n", v.both())
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

// both returns how many tests pass in both rounds.
func (v *verdict) both() int {
	n := 0
	for t := range v.pooled.results {
		if t == t.top() && v.stock.passes(t) && v.pooled.passes(t) && !v.differs(t) {
			n++
		}
	}
	return n
}

// differs reports whether the test or a part of it is a known difference.
func (v *verdict) differs(t test) bool {
	return slices.ContainsFunc(v.lists.known, func(e entry) bool { return e.test.isPartOf(t) && v.pooled.known[e.test] })
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
