//go:build !linux

package netlab

import "testing"

// Thread skips the benchmark.
func Thread(b *testing.B, _ ...Option) *Lab {
	b.Helper()
	Missing(b, "Linux", "run on Linux")
	return nil
}
