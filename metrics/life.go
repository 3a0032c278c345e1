package metrics

import (
	"net/netip"
	"time"

	"github.com/lastack/lastack/linger"
)

// A Life is what one connection did, from its birth on. [Meter.Lives] has the
// lives of connections that are there and of the last that ended.
type Life struct {
	Host     string         `json:"host"` // as given to Meter.Host
	Local    netip.AddrPort `json:"local"`
	Remote   netip.AddrPort `json:"remote"`
	Born     time.Time      `json:"born"`
	Left     time.Time      `json:"left,omitzero"`  // when it served no more; zero: it still does
	Gone     time.Time      `json:"gone,omitzero"`  // when it had ended; zero: it has not
	Requests uint64         `json:"requests"`       // that it was leased to
	Dialed   string         `json:"dialed"`         // why it was dialled
	Reason   string         `json:"reason"`         // why it left; "" while it serves
	Ending   linger.Ending  `json:"ending"`         // how it ended, once Gone is set
	TimeWait bool           `json:"time_wait"`      // the kernel was seen to hold a TIME_WAIT for it
	Uses     []Use          `json:"uses,omitempty"` // the newest, the oldest first; bounded
}

// A Use is one request's time on a connection. Where a connection carries
// several requests at a time, it is from the first until none is left. Of uses
// that follow closely upon one another, only the first and then a few a second
// are kept.
type Use struct {
	From time.Time     `json:"from"`
	For  time.Duration `json:"for"` // in nanoseconds; 0: it lasts
}

// A LeakSite is a place in a program whose response bodies were not closed, or
// were held for too long.
type LeakSite struct {
	Site string `json:"site"` // "file.go:line function"
	Leak uint64 `json:"leak"` // bodies that were forgotten
	Held uint64 `json:"held"` // bodies that were held for too long
}
