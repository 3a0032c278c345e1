// Package lab is what the commands that compare clients have in common: a place
// where the kernel's counts are exact, those counts, and a server in a process of
// its own.
package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// A command runs itself in other roles, which the variable RoleEnv names. Where
// that is set in a test's process, the test's binary is to be the command: so
// tests run the real program, in all its processes and under the race detector
// if they do.
const (
	RoleEnv        = "LASTACK_EXAMPLES_ROLE"
	RoleCommand    = "command" // what a user starts
	RoleServer     = "server"
	roleNamespaced = "namespaced"
)

// Self returns this program in a role, not yet started. It is killed when ctx
// ends.
func Self(ctx context.Context, role string, args ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), RoleEnv+"="+role)
	return cmd, nil
}

// IsServer reports whether this process was started by [StartServer].
func IsServer() bool { return os.Getenv(RoleEnv) == RoleServer }

// Output runs this program as its users do, for its tests, and returns what it
// prints, errors included.
func Output(ctx context.Context, args ...string) (string, error) {
	cmd, err := Self(ctx, RoleCommand, args...)
	if err != nil {
		return "", err
	}
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0") // else the race detector sleeps a second in each process
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return string(out), err
}

// The exit codes of the commands.
const (
	ExitFailed      = 1
	ExitUsage       = 2
	ExitInterrupted = 130 // as a shell reports a command that SIGINT ended
)

// A Location is where a comparison runs, and so what the kernel's count is
// worth.
type Location struct {
	Private bool   // a network namespace of its own
	Why     string // if not: the reason
}

// Note says what the count of TIME_WAITs is worth there.
func (l Location) Note() string {
	if l.Private {
		return "in a network namespace of its own, with tcp_tw_reuse=0, where this side's count is exact"
	}
	return "those that stand when the client has ended (" + l.Why + ")"
}

// Enter finds out where to run: in a fresh network namespace, unless there is a
// reason why not. It reports done when another process, in such a namespace, has
// done everything, and with which exit code.
func Enter(args []string, whyNot string) (where Location, code int, done bool) {
	if os.Getenv(RoleEnv) == roleNamespaced {
		if err := enterNamespace(); err != nil {
			return where, ExitFailed, true // the parent has been told, and goes on without
		}
		return Location{Private: true}, 0, false
	}
	if whyNot != "" {
		return Location{Why: whyNot}, 0, false
	}
	code, err := runNamespaced(args)
	if err != nil {
		return Location{Why: err.Error()}, 0, false
	}
	return where, code, true
}
