//go:build unix

package pool

import (
	"runtime"
	"syscall"
	"time"
)

// readUsage returns what the process has used so far.
func readUsage() usage {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	var ru syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	return usage{
		wall:   float64(time.Since(started)),
		cpu:    float64(ru.Utime.Nano() + ru.Stime.Nano()),
		bytes:  float64(mem.TotalAlloc),
		allocs: float64(mem.Mallocs),
	}
}
