package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// outcomes makes a round from outcomes by name.
func outcomes(of map[string]outcome) *round {
	r := newRound()
	for name, o := range of {
		r.results.of(test{"p", name}).outcome = o
	}
	return r
}

func TestVerdict(t *testing.T) {
	a, b := test{"p", "TestA"}, test{"p", "TestB"}
	both := map[string]outcome{"TestA": passed, "TestB": passed}
	knownA := lists{known: []entry{{a, "why"}}}
	for _, c := range []struct {
		name          string
		stock, pooled map[string]outcome
		change        func(pooled *round)
		handedBack    []string
		lists         lists
		ok            bool
		says          string
	}{
		{name: "all pass", stock: both, pooled: both, ok: true, says: "2 of them pass with the pool"},
		{name: "one fails", stock: both, pooled: map[string]outcome{"TestA": passed, "TestB": failed}, says: "FAIL: p TestB"},
		{name: "fails stock too", stock: map[string]outcome{"TestA": passed, "TestB": failed},
			pooled: map[string]outcome{"TestA": passed, "TestB": failed}, ok: true, says: "1 tests pass with stock net/http; 1 fail"},
		{name: "lost", stock: both, pooled: map[string]outcome{"TestA": passed}, says: "FAIL: p TestB"},
		{name: "skips itself", stock: both, pooled: map[string]outcome{"TestA": passed, "TestB": skipped}, says: "FAIL: p TestB"},
		{name: "left out", stock: both, pooled: map[string]outcome{"TestB": passed}, lists: lists{leftOut: []entry{{a, "why"}}},
			ok: true, says: "1 of them are left out, since they look into http.Transport itself\n\tTestA: why"},
		{name: "nothing ran", says: "FAIL: no test passes with stock net/http"},
		{name: "flaky", stock: both, pooled: map[string]outcome{"TestA": passed, "TestB": failed},
			change: func(r *round) { r.flaky[b] = 1 }, ok: true, says: "1 of them passed only when they ran again"},
		{name: "known", stock: both, pooled: map[string]outcome{"TestA": failed, "TestB": passed}, lists: knownA,
			change: func(r *round) { r.known[a] = true }, ok: true, says: "1 of them are known differences\n\tTestA: why"},
		{name: "known, and passes", stock: both, pooled: both, lists: knownA,
			change: func(r *round) { r.known[a] = false }, says: "FAIL: p TestA is a known difference and passes"},
		{name: "known, and a part passes", stock: both,
			pooled: map[string]outcome{"TestA": failed, "TestA/h1": passed, "TestA/h2": failed, "TestB": passed}, lists: knownA,
			change: func(r *round) { r.known[a] = true }, says: "FAIL: p TestA/h1 is a part of a known difference and passes"},
		{name: "known, and not there", stock: map[string]outcome{"TestB": passed}, pooled: map[string]outcome{"TestB": passed}, lists: knownA,
			says: "FAIL: p TestA is on a list and does not exist"},
		{name: "handed back", stock: both, pooled: both, handedBack: []string{"GET http://x/"}, says: "FAIL: handed back to Base.RoundTrip: GET http://x/"},
		{name: "leaks", stock: both, pooled: both, change: func(r *round) { r.exits["p"] = "Too many goroutines" },
			says: "FAIL: p fails although its tests pass:\nToo many goroutines"},
	} {
		t.Run(c.name, func(t *testing.T) {
			pooled := outcomes(c.pooled)
			if c.change != nil {
				c.change(pooled)
			}
			v := judge(outcomes(c.stock), pooled, c.handedBack, c.lists, true)
			var b strings.Builder
			v.write(&b, false)
			if v.ok() != c.ok || !strings.Contains(b.String(), c.says) {
				t.Errorf("ok %v, want %v, and %q in\n%s", v.ok(), c.ok, c.says, b.String())
			}
		})
	}
}

func TestListsHaveReasons(t *testing.T) {
	seen := make(map[test]bool)
	for _, list := range [][]entry{theLists.leftOut, theLists.known} {
		for _, e := range list {
			if e.reason == "" || seen[e.test] || !strings.HasPrefix(e.test.name, "Test") {
				t.Errorf("%v: no reason, twice, or no test", e.test)
			}
			seen[e.test] = true
		}
	}
}

func TestHandedBack(t *testing.T) {
	notes := filepath.Join(t.TempDir(), "notes")
	if got, err := handedBack(notes); got != nil || err != nil {
		t.Errorf("without notes: %q, %v", got, err)
	}
	if err := os.WriteFile(notes, []byte("called\nhanded back GET http://x/\nhanded back GET http://x/\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if got, err := handedBack(notes); len(got) != 1 || got[0] != "GET http://x/" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
