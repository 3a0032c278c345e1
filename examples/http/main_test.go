package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// mainEnv makes the test's own binary the command.
const mainEnv = "LASTACK_HTTP_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(mainEnv) != "" {
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
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), mainEnv+"=1", "GORACE=atexit_sleep_ms=0") // else the race detector sleeps a second
	out, err := cmd.CombinedOutput()                                         // what goes wrong is logged
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}
