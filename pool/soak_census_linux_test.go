package pool

import (
	"context"
	"net/netip"
	"time"

	"github.com/lastack/lastack/internal/sockdiag"
)

// A socketCensus is what the kernel has said, over some time, of the client's
// sockets of the connections to one port.
type socketCensus struct {
	TimeWaits int           // that there have been
	CloseWait time.Duration // the longest that one has stayed
	Now       map[string]int

	port   uint16
	waits  map[addrPair]bool // TIME_WAITs there are
	closes map[addrPair]time.Time
}

type addrPair struct{ local, remote netip.AddrPort }

func newSocketCensus(port uint16) *socketCensus {
	return &socketCensus{port: port, waits: map[addrPair]bool{}, closes: map[addrPair]time.Time{}}
}

// takeCensus asks the kernel again and again until ctx ends. A TIME_WAIT stands
// for a minute, so that none is missed, but for those that a SYN ends.
func takeCensus(ctx context.Context, all ...*socketCensus) {
	for pause(ctx, 200*time.Millisecond) {
		takeCensusOnce(all...)
	}
}

func takeCensusOnce(all ...*socketCensus) {
	diag, err := sockdiag.Open()
	if err != nil {
		panic(err)
	}
	defer diag.Close()
	began := time.Now()
	for _, c := range all {
		c.Now = map[string]int{}
	}
	waits := make([]map[addrPair]bool, len(all))
	closes := make([]map[addrPair]time.Time, len(all))
	for i := range all {
		waits[i], closes[i] = map[addrPair]bool{}, map[addrPair]time.Time{}
	}
	err = diag.Each(sockdiag.AllStates&^sockdiag.Listen.Mask(), func(s sockdiag.Socket) bool {
		for i, c := range all {
			if s.Remote.Port() != c.port {
				continue
			}
			p := addrPair{s.Local, s.Remote}
			c.Now[s.State.String()]++
			switch {
			case s.Mini(): // a FIN_WAIT2 without a descriptor is one by another name
				if !c.waits[p] && !waits[i][p] {
					c.TimeWaits++
				}
				waits[i][p] = true
			case s.State == sockdiag.CloseWait:
				since, ok := c.closes[p]
				if !ok {
					since = began
				}
				closes[i][p] = since
				c.CloseWait = max(c.CloseWait, began.Sub(since))
			}
		}
		return true
	})
	if err != nil {
		panic(err)
	}
	for i, c := range all {
		c.waits, c.closes = waits[i], closes[i]
	}
}
