package main

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lastack/lastack/examples/internal/lab"
	"github.com/lastack/lastack/internal/netlab"
)

func TestMain(m *testing.M) {
	if os.Getenv(lab.RoleEnv) != "" {
		main()
	}
	os.Exit(m.Run())
}

// commandline returns the command, not yet started.
func commandline(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd, err := lab.Self(t.Context(), lab.RoleCommand, args...)
	if err != nil {
		t.Fatal(err)
	}
	// Without the race detector's second of sleep at the exit of each process.
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0")
	return cmd
}

// TestScenes: all clients get through all scenes, and where the kernel can be
// asked, ours leave nothing.
func TestScenes(t *testing.T) {
	const channels, calls = 20, 150
	for name, args := range map[string][]string{
		"plaintext": nil, "TLS": {"-tls"}, "no namespace": {"-namespace=false"},
	} {
		t.Run(name, func(t *testing.T) {
			out := runMain(t, append(args, "-channels", strconv.Itoa(channels), "-calls", strconv.Itoa(calls))...)
			if !strings.Contains(out, "Hello, newcomer!") {
				t.Errorf("no greeting in\n%s", out)
			}
			for _, word := range []string{"failed", "end:", "NOT", "on their way"} {
				if strings.Contains(out, word) {
					t.Errorf("%q in\n%s", word, out)
				}
			}
			exact := strings.Contains(out, "is exact")
			if name == "plaintext" && !exact {
				netlab.Missing(t, "a network namespace of its own", "run on Linux as root, or allow user namespaces")
			}
			for _, make := range clients {
				rows := rowsOf(out, make().name)
				if len(rows) != len(scenes) {
					t.Fatalf("%d rows of %s for %d scenes in\n%s", len(rows), make().name, len(scenes), out)
				}
				for i, r := range rows[:2] {
					if dialled, _ := strconv.Atoi(r[0]); dialled < channels {
						t.Errorf("%s dialled %s connections for %d channels in scene %d", make().name, r[0], channels, i)
					}
				}
				if !exact {
					continue
				}
				left := slices.ContainsFunc(rows, func(r []string) bool { return r[1] != "0" })
				switch isStock := make().stats == nil; {
				case isStock && name == "plaintext" && !left:
					t.Errorf("stock leaves nothing: would one of ours be seen?\n%s", out)
				case !isStock && left:
					t.Errorf("%s leaves TIME_WAITs on this side:\n%s", make().name, out)
				}
			}
		})
	}
}

// rowsOf returns the numbers of a client in each scene: connections, TIME_WAITs
// of this side and of the server, time.
func rowsOf(out, client string) [][]string {
	var rows [][]string
	for line := range strings.Lines(out) {
		if numbers, ok := strings.CutPrefix(line, "  "+client+" "); ok {
			rows = append(rows, strings.Fields(numbers))
		}
	}
	return rows
}

func runMain(t *testing.T, args ...string) string {
	t.Helper()
	cmd := commandline(t, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%v\n%s%s", err, &stderr, out)
	}
	return string(out)
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-no-such-flag"}, {"argument"}, {"-channels", "0"}} {
		cmd := commandline(t, args...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != lab.ExitUsage || stderr.Len() == 0 {
			t.Errorf("%q: exit code %d, want %d; printed %q", args, code, lab.ExitUsage, &stderr)
		}
	}
}
