package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/lastack/lastack/internal/nethttp/hook"
)

// A form is how the suite is run.
type form struct {
	race, long bool
	foreign    bool
	run        string // -test.run
	timeout    time.Duration
}

// A runner runs the test binaries in dir.
type runner struct {
	tools toolchain
	form  form
	lists lists
	dir   string
	say   func(format string, args ...any)
}

// A job is tests of one package in one process.
type job struct {
	pkg     string
	pooled  bool
	run     string   // -test.run
	skip    []string // tests
	timeout time.Duration
	notes   string // file for the hook's notes
	keep    bool   // the events
}

// start runs one process to its end.
func (r *runner) start(ctx context.Context, j job) (*process, error) {
	args := []string{"-p", j.pkg, binary(r.dir, j.pkg), "-test.v=test2json", "-test.paniconexit0", "-test.timeout", j.timeout.String()}
	if !r.form.long {
		args = append(args, "-test.short")
	}
	if j.run != "" {
		args = append(args, "-test.run", j.run)
	}
	if len(j.skip) > 0 {
		args = append(args, "-test.skip", anyOf(j.skip))
	}
	cmd := exec.CommandContext(ctx, r.tools.json, args...)
	cmd.Dir = filepath.Join(r.tools.root, "src", filepath.FromSlash(j.pkg)) // for testdata
	mode := ""
	switch {
	case j.pooled && r.form.foreign:
		mode = hook.ModeForeign
	case j.pooled:
		mode = hook.ModePool
	}
	cmd.Env = append(os.Environ(), "GOROOT="+r.tools.root, "PWD="+cmd.Dir, hook.ModeEnv+"="+mode, hook.NotesEnv+"="+j.notes)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p, err := r.read(out, j)
	// test2json fails when the test does, which p says.
	if waited := cmd.Wait(); err == nil && ctx.Err() != nil {
		err = waited
	}
	return p, err
}

// read reads the events, and keeps those of all tests of a package for whoever
// looks into a crash.
func (r *runner) read(events io.Reader, j job) (*process, error) {
	if !j.keep {
		return read(events)
	}
	name := path.Base(j.pkg) + "-stock.json"
	if j.pooled {
		name = path.Base(j.pkg) + "-pool.json"
	}
	f, err := os.Create(filepath.Join(r.dir, name))
	if err != nil {
		return nil, err
	}
	p, err := read(io.TeeReader(events, f))
	return p, errors.Join(err, f.Close())
}

// anyOf returns the pattern that matches the tests and their subtests.
func anyOf(tests []string) string {
	patterns := make([]string, len(tests))
	for i, name := range tests {
		parts := strings.Split(name, "/")
		for j, part := range parts {
			parts[j] = "^" + regexp.QuoteMeta(part) + "$"
		}
		patterns[i] = strings.Join(parts, "/")
	}
	return strings.Join(patterns, "|")
}

// list returns the names of the package's tests that the form runs.
func (r *runner) list(ctx context.Context, pkg string, skip []string) ([]string, error) {
	pattern, _, _ := strings.Cut(r.form.run, "/")
	cmd := exec.CommandContext(ctx, binary(r.dir, pkg), "-test.list", cmp.Or(pattern, "."))
	cmd.Dir = r.dir
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pkg, err)
	}
	var names []string
	for name := range strings.FieldsSeq(string(out)) {
		isTest := strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Example") || strings.HasPrefix(name, "Fuzz")
		if isTest && !slices.Contains(skip, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// whole runs all tests of a package. If their process crashes, which leaves
// most without a result, those run again one by one.
func (r *runner) whole(ctx context.Context, j job) (*process, error) {
	j.run, j.timeout = r.form.run, r.form.timeout
	j.keep = true
	p, err := r.start(ctx, j)
	if err != nil || !p.crashed() {
		return p, err
	}
	j.keep, j.timeout = false, 0
	names, err := r.list(ctx, j.pkg, j.skip)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		o := p.results.outcome(test{j.pkg, name})
		return o == passed || o == skipped
	})
	r.say("  %s: %s: running %d of its tests one by one", j.pkg, p.crash, len(names))
	for t := range p.results {
		if slices.Contains(names, t.top().name) {
			delete(p.results, t)
		}
	}
	p.crash, p.passed = "", true
	for _, name := range names {
		single, err := r.single(ctx, j, name)
		if err != nil {
			return nil, err
		}
		maps.Copy(p.results, single.results)
	}
	return p, nil
}

// singleTimeout is for a test that runs alone.
const singleTimeout = 30 * time.Second

// single runs one test. If it crashes, it and its subtests have failed.
func (r *runner) single(ctx context.Context, j job, name string) (*process, error) {
	j.run, j.timeout = anyOf([]string{name}), cmp.Or(j.timeout, singleTimeout)
	p, err := r.start(ctx, j)
	if err != nil {
		return nil, err
	}
	if p.crashed() {
		p.settle()
		res := p.results.of(test{j.pkg, name})
		res.outcome = failed
		res.output.WriteString(p.crash + "\n" + p.output.String())
	}
	return p, nil
}

// handedBack returns the requests that a pool has handed back, by the hook's notes.
func handedBack(notes string) ([]string, error) {
	content, err := os.ReadFile(notes)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var requests []string
	for line := range strings.Lines(string(content)) {
		request, ok := strings.CutPrefix(strings.TrimSpace(line), hook.HandedBack+" ")
		if ok && !slices.Contains(requests, request) {
			requests = append(requests, request)
		}
	}
	return requests, err
}
