package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// A test is one test of a package, or a subtest: "TestX/h2".
type test struct{ pkg, name string }

func (t test) String() string { return t.pkg + " " + t.name }

// top returns the test that t is a part of.
func (t test) top() test {
	t.name, _, _ = strings.Cut(t.name, "/")
	return t
}

// isPartOf reports whether t is the other or a subtest of it.
func (t test) isPartOf(other test) bool {
	return t.pkg == other.pkg && (t.name == other.name || strings.HasPrefix(t.name, other.name+"/"))
}

// An outcome is how a test has ended.
type outcome uint8

const (
	unresolved outcome = iota // it has begun, and nothing says how it ended
	passed
	failed
	skipped
)

// A result is what is known of one test.
type result struct {
	outcome outcome
	output  strings.Builder
}

// results are those of one run of a package, or of several.
type results map[test]*result

func (rs results) of(t test) *result {
	r := rs[t]
	if r == nil {
		r = new(result)
		rs[t] = r
	}
	return r
}

// outcome returns how the test has ended, unresolved if it is not there.
func (rs results) outcome(t test) outcome {
	if r := rs[t]; r != nil {
		return r.outcome
	}
	return unresolved
}

// tops returns the tests that have ended so, without their subtests, in order.
func (rs results) tops(o outcome) []test {
	var tests []test
	for t, r := range rs {
		if t == t.top() && r.outcome == o {
			tests = append(tests, t)
		}
	}
	return sorted(tests)
}

func (rs results) count(o outcome) int { return len(rs.tops(o)) }

// sorted returns the tests in the order of their packages and names.
func sorted(tests []test) []test {
	slices.SortFunc(tests, func(a, b test) int { return strings.Compare(a.String(), b.String()) })
	return tests
}

// leaves returns the tests that have no subtests.
func (rs results) leaves() results {
	parents := make(map[test]bool)
	for t := range rs {
		for i, c := range t.name {
			if c == '/' {
				parents[test{t.pkg, t.name[:i]}] = true
			}
		}
	}
	leaves := make(results)
	for t, r := range rs {
		if !parents[t] {
			leaves[t] = r
		}
	}
	return leaves
}

// A process is what one run of a test binary has told.
type process struct {
	results results
	output  strings.Builder // that belongs to no test
	passed  bool            // as it says itself
	crash   string          // the first words of the panic that ended it, or ""
}

var crashLine = regexp.MustCompile(`(?m)^(panic: |fatal error: |signal: ).*$`)

// read takes in what test2json makes of a test binary's output.
func read(r io.Reader) (*process, error) {
	p := &process{results: make(results)}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e struct{ Action, Package, Test, Output string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("test2json: %w in %q", err, lines.Text())
		}
		if e.Action == "output" && p.crash == "" {
			p.crash = strings.TrimSpace(crashLine.FindString(e.Output))
		}
		if e.Test == "" {
			p.output.WriteString(e.Output)
			p.passed = p.passed || e.Action == "pass"
			continue
		}
		res := p.results.of(test{e.Package, e.Test})
		switch e.Action {
		case "output":
			res.output.WriteString(e.Output)
		case "pass":
			res.outcome = passed
		case "fail":
			res.outcome = failed
		case "skip":
			res.outcome = skipped
		}
	}
	if p.passed {
		p.crash = "" // what a test has printed
	}
	return p, lines.Err()
}

// crashed reports whether the process ended before its tests.
func (p *process) crashed() bool { return p.crash != "" }

// settle has the tests that were under way when the process crashed fail. It
// is for processes that run one test.
func (p *process) settle() {
	for _, r := range p.results {
		if r.outcome == unresolved {
			r.outcome = failed
		}
	}
}
