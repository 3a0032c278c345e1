package metrics

import "time"

// A Ghost is a pool that might have been: the [Meter] works out what it would
// have done with the same requests. Zero fields mean net/http's: they are read
// as those of [net/http.Transport].
type Ghost struct {
	// Name is the model's name in [Snapshot.WouldHave]. It must be given, and
	// differ from the other models' names.
	Name string

	MaxIdlePerHost int           // 0: 2; negative: none
	MaxIdle        int           // over all hosts; 0: unlimited
	IdleTimeout    time.Duration // 0: unlimited
}

// A WhatIf says what a pool that keeps up to MaxIdle resting connections for a
// host, however long they rest, would have done with the requests there were.
type WhatIf struct {
	MaxIdle   int    `json:"max_idle"`
	Dials     uint64 `json:"dials"`
	TimeWaits uint64 `json:"time_waits"`
}
