package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/examples/internal/lab"
)

// TestInterrupt: Ctrl-C ends the command and all its processes, and what was done
// is printed.
func TestInterrupt(t *testing.T) {
	for _, args := range [][]string{{}, {"-namespace=false"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			// The first row alone would take a minute. Ports would run out
			// where stock dials that many, but it does not get so far.
			cmd := commandline(t, append(args, "-channels", "1000000")...)
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			printed := make([]byte, 0, 4096)
			for !bytes.Contains(printed, []byte("it says")) {
				n, err := stdout.Read(printed[len(printed):cap(printed)])
				if err != nil {
					t.Fatalf("%v\n%s%s", err, printed, &stderr)
				}
				printed = printed[:len(printed)+n]
			}
			start := time.Now()
			cmd.Process.Signal(os.Interrupt)
			rest, err := io.ReadAll(stdout)
			if err != nil {
				t.Fatal(err)
			}
			// All processes have the same standard error, and Wait returns when
			// none has it any more.
			cmd.Wait()
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v to end", took)
			}
			if code := cmd.ProcessState.ExitCode(); code != lab.ExitInterrupted {
				t.Errorf("exit code %d, want %d\n%s", code, lab.ExitInterrupted, &stderr)
			}
			if !strings.Contains(string(rest), "interrupted\n") {
				t.Errorf("it does not say that it was interrupted:\n%s%s", printed, rest)
			}
			if stderr.Len() > 0 {
				t.Errorf("on standard error: %s", &stderr)
			}
		})
	}
}
