package main

import (
	"strings"
	"testing"
)

// The whole suite is run by the command. This shows that the overlay fits and
// that requests do go to a pool.
func TestSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("builds net/http")
	}
	var b strings.Builder
	o := options{work: t.TempDir(), calls: true, form: form{run: "^TestClientHead$|^TestReverseProxy$|^TestServer$", timeout: singleTimeout}}
	ok, err := run(t.Context(), o, &b)
	if err != nil || !ok {
		t.Fatalf("ok %v, %v\n%s", ok, err, b.String())
	}
	for _, want := range []string{
		"3 tests pass with stock net/http",
		"3 of them pass with the pool",
		"3 call Transport.RoundTrip at all, and 3 of these pass with the pool",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}
