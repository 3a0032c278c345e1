//go:build !unix

package grpcpool

import "time"

func cpuTime() (time.Duration, bool) { return 0, false }
