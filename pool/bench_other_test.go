//go:build !unix

package pool

import (
	"runtime"
	"time"
)

// readUsage returns what the process has used so far, but for its processor
// time, for which the wall's stands in.
func readUsage() usage {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	wall := float64(time.Since(started))
	return usage{wall: wall, cpu: wall, bytes: float64(mem.TotalAlloc), allocs: float64(mem.Mallocs)}
}
