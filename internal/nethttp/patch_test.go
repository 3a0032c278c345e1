package main

import (
	"errors"
	"strings"
	"testing"
)

const someSource = `package http

// RoundTrip is talked of here: (t *Transport) RoundTrip.
type Transport struct{}

type other struct{}

func (o *other) RoundTrip() {}

func RoundTrip() {}

func (t *Transport) RoundTrip() { RoundTrip() }
`

func TestRename(t *testing.T) {
	p := patch{file: "x.go", renames: []rename{{"Transport", "RoundTrip", "StockRoundTrip"}}}
	got, err := p.apply(someSource)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(someSource, "func (t *Transport) RoundTrip()", "func (t *Transport) StockRoundTrip()", 1)
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRenameOfAFunction(t *testing.T) {
	got, err := rename{"", "RoundTrip", "stock"}.apply("x.go", someSource)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(someSource, "func RoundTrip()", "func stock()", 1); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReplace(t *testing.T) {
	p := patch{file: "x.go", replaces: []replace{{"type other struct{}", "type other int"}}}
	got, err := p.apply(someSource)
	if err != nil || !strings.Contains(got, "type other int\n") {
		t.Errorf("got %v\n%s", err, got)
	}
}

// A patch that no longer fits must not do half of its work.
func TestPatchThatDoesNotFit(t *testing.T) {
	for name, p := range map[string]patch{
		"no such method":           {renames: []rename{{"Transport", "CancelRequest", "x"}}},
		"method of another":        {renames: []rename{{"Client", "RoundTrip", "x"}}},
		"text that is not there":   {replaces: []replace{{"absent", ""}}},
		"text that is there twice": {replaces: []replace{{"struct{}", "int"}}},
	} {
		if got, err := p.apply(someSource); !errors.Is(err, errChanged) || got != "" {
			t.Errorf("%s: got %v and %d bytes, want %v", name, err, len(got), errChanged)
		}
	}
}
