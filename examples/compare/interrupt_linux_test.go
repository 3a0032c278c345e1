package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/lastack/lastack/examples/internal/lab"
	"github.com/lastack/lastack/internal/netlab"
)

// Ctrl-C ends the command and all its processes, and the table of what was done
// is printed.
func TestInterrupt(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
	}{
		{"in a namespace, where there are any", nil},
		{"in that of the test", []string{"-namespace=false"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mark := "LASTACK_COMPARE_TEST_MARK=" + t.TempDir()
			var out bytes.Buffer
			// The first row alone takes a minute.
			cmd := commandline(t, append(tc.args, "-json", "-bursts", "600", "-concurrency", "4", "-pause", "100ms")...)
			cmd.Env = append(cmd.Env, mark)
			cmd.Stdout, cmd.Stderr = &out, os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			netlab.Eventually(t, 10*time.Second, "the server runs", func() bool { return marked(mark, serverMark) == 1 })
			start := time.Now()
			cmd.Process.Signal(os.Interrupt)
			cmd.Wait()
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("it took %v to end", took)
			}
			if code := cmd.ProcessState.ExitCode(); code != lab.ExitInterrupted {
				t.Errorf("exit code %d, want %d", code, lab.ExitInterrupted)
			}
			netlab.Eventually(t, time.Second, "no process is left", func() bool { return marked(mark) == 0 })
			if r := decode(t, out.Bytes()); !r.Interrupted {
				t.Errorf("the report does not say that it was interrupted:\n%s", &out)
			}
		})
	}
}

// A command that is killed takes its processes with it.
func TestKilled(t *testing.T) {
	mark := "LASTACK_COMPARE_TEST_MARK=" + t.TempDir()
	cmd := commandline(t, "-bursts", "600", "-concurrency", "4", "-pause", "100ms")
	cmd.Env = append(cmd.Env, mark)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	netlab.Eventually(t, 10*time.Second, "the server runs", func() bool { return marked(mark, serverMark) == 1 })
	cmd.Process.Kill()
	cmd.Wait()
	netlab.Eventually(t, 5*time.Second, "no process is left", func() bool { return marked(mark) == 0 })
}

// serverMark is in the environment of the server's process alone.
const serverMark = lab.RoleEnv + "=" + lab.RoleServer + "\x00"

// marked returns how many processes have all the variables in their environment.
func marked(variables ...string) int {
	n := 0
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		env, _ := os.ReadFile(f) // those of others, or gone meanwhile
		if !slices.ContainsFunc(variables, func(v string) bool { return !bytes.Contains(env, []byte(v)) }) {
			n++
		}
	}
	return n
}
