//go:build !linux

package netlab

import "testing"

func supervise(t *testing.T) {
	t.Helper()
	Missing(t, "a Linux kernel", "run the tests on Linux")
}

func enter(t *testing.T, _ []Option) { supervise(t) }
