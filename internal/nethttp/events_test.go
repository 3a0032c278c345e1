package main

import (
	"fmt"
	"strings"
	"testing"
)

// events writes what test2json would: "action test" or "output test: text".
func events(lines ...string) *strings.Reader {
	var b strings.Builder
	for _, line := range lines {
		head, output, _ := strings.Cut(line, ": ")
		action, name, _ := strings.Cut(head, " ")
		fmt.Fprintf(&b, `{"Action":%q,"Package":"p","Test":%q,"Output":%q}`+"\n", action, name, output)
	}
	return strings.NewReader(b.String())
}

func TestRead(t *testing.T) {
	p, err := read(events("run TestA", "output TestA: hello\n", "run TestA/h1", "pass TestA/h1", "run TestA/h2", "fail TestA/h2",
		"fail TestA", "run TestB", "skip TestB", "run TestC", "pass TestC", "output : FAIL\n", "fail "))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]outcome{
		"TestA": failed, "TestA/h1": passed, "TestA/h2": failed, "TestB": skipped, "TestC": passed, "TestD": unresolved,
	} {
		if got := p.results.outcome(test{"p", name}); got != want {
			t.Errorf("%s: outcome %d, want %d", name, got, want)
		}
	}
	if p.passed || p.crashed() {
		t.Errorf("passed %v, crash %q of a run with a failing test", p.passed, p.crash)
	}
	if got := p.results[test{"p", "TestA"}].output.String(); got != "hello\n" {
		t.Errorf("output of TestA: %q", got)
	}
	for o, want := range map[outcome]int{passed: 1, failed: 1, skipped: 1} {
		if got := p.results.count(o); got != want {
			t.Errorf("count(%d) = %d, want %d", o, got, want)
		}
	}
	if got := len(p.results.leaves()); got != 4 {
		t.Errorf("%d leaves, want 4: A/h1, A/h2, B, C", got)
	}
}

func TestReadCrash(t *testing.T) {
	p, err := read(events("run TestA", "pass TestA", "run TestB", "run TestB/h1",
		"output TestB/h1: panic: connCount underflow\n", "output TestB/h1: goroutine 7\n", "fail "))
	if err != nil {
		t.Fatal(err)
	}
	if want := "panic: connCount underflow"; p.crash != want {
		t.Errorf("crash %q, want %q", p.crash, want)
	}
	p.settle()
	for name, want := range map[string]outcome{"TestA": passed, "TestB": failed, "TestB/h1": failed} {
		if got := p.results.outcome(test{"p", name}); got != want {
			t.Errorf("%s: outcome %d, want %d", name, got, want)
		}
	}
}

// Tests print panics that they have caught.
func TestReadPanicThatWasCaught(t *testing.T) {
	p, err := read(events("run TestA", "output TestA: panic: in a handler\n", "pass TestA", "pass "))
	if err != nil || p.crashed() || !p.passed {
		t.Errorf("got %v, crash %q, passed %v", err, p.crash, p.passed)
	}
}

func TestReadGarbage(t *testing.T) {
	if _, err := read(strings.NewReader("not JSON\n")); err == nil {
		t.Error("no error")
	}
}

func TestIsPartOf(t *testing.T) {
	a := test{"p", "TestA"}
	for other, want := range map[test]bool{
		a: true, {"p", "TestA/h1"}: true, {"p", "TestAB"}: false, {"q", "TestA"}: false,
	} {
		if other.isPartOf(a) != want {
			t.Errorf("%v.isPartOf(%v) = %v", other, a, !want)
		}
	}
}
