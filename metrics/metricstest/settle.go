package metricstest

import (
	"time"

	"github.com/lastack/lastack/metrics"
)

// A Pool is what is tested: a *pool.Transport, a *grpcpool.ClientConn, or a
// *metrics.Meter, such as that of a dialer.Dialer.
type Pool interface {
	// Accounts returns the Meter that counts the connections.
	Accounts() *metrics.Meter
}

var (
	// goodbyes is how long connections that were closed may take to end. It is
	// longer than a Policy lets them wait for their peer.
	goodbyes = 10 * time.Second

	// rests is how long connections may take to come to rest, and then to be
	// closed if the pool can be asked for that.
	rests = 5 * time.Second

	// moment is how long a pool may take to notice that a peer has closed.
	moment = time.Second
)

// look is how often a condition is looked at.
const look = 2 * time.Millisecond

// settle has the resting connections of the pool closed, if it knows how to do
// that, and waits until no connection is on its way to its end; and, if it is
// asked to, until none is busy that was not before. It returns the accounts as
// they are then.
func settle(p Pool, busy int64, awaitBusy bool) metrics.Snapshot {
	m := p.Accounts()
	closer, closes := p.(interface{ CloseIdleConnections() })
	began := time.Now()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if closes {
			closer.CloseIdleConnections()
		}
		s := m.Snapshot()
		gone := s.Leaving == 0
		rested := (!closes || s.Resting == 0) && (!awaitBusy || s.Busy <= busy)
		since := time.Since(began)
		if gone && (rested || since > rests) || since > goodbyes {
			return s
		}
		<-tick.C
	}
}
