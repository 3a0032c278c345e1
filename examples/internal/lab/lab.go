// Package lab is what the commands that compare clients have in common: a place
// where the kernel's counts are exact, those counts, and a server in a process of
// its own.
package lab

import "os"

// A command runs itself in other roles, which the variable RoleEnv names.
const (
	RoleEnv        = "LASTACK_EXAMPLES_ROLE"
	RoleServer     = "server"
	roleNamespaced = "namespaced"
)

// IsServer reports whether this process was started by [StartServer].
func IsServer() bool { return os.Getenv(RoleEnv) == RoleServer }

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
