package main

import (
	"os"
	"strings"
	"testing"

	"github.com/lastack/lastack/examples/internal/lab"
)

func TestMain(m *testing.M) {
	if os.Getenv(lab.RoleEnv) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestPrintsItsAccount(t *testing.T) {
	out := output(t)
	for _, want := range []string{"requests:    100 (", " 0 resting, 0 busy, 0 leaving\n", "left for:    shutdown "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// output runs the program and returns what it prints.
func output(t *testing.T) string {
	t.Helper()
	out, err := lab.Output(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return out
}
