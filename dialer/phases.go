package dialer

import (
	"net"
	"time"

	"github.com/lastack/lastack/metrics"
)

// count makes a dial and counts it for the host, if that is not nil. How long
// its parts took it tells whoever asked for the dial.
func (a *attempt) count(host *metrics.Host, dial func() (net.Conn, error)) (net.Conn, error) {
	if host == nil && a.note.Dialed == nil {
		return dial()
	}
	why := ""
	if host != nil {
		why = host.DialStart(metrics.Asked)
	}
	started := time.Now()
	c, err := dial()
	over := time.Now()
	dns, tcp := a.phases(started, over)
	if a.note.Dialed != nil {
		a.note.Dialed(dns, tcp)
	}
	if host != nil {
		host.DialDone(metrics.Dial{Reason: why, DNS: dns, TCP: tcp, Total: over.Sub(started), Err: err})
	}
	return c, err
}

// begun notes that the addresses are known and the first socket is about to be
// connected.
func (a *attempt) begun() {
	a.mu.Lock()
	if a.first.IsZero() {
		a.first = time.Now()
	}
	a.mu.Unlock()
}

// phases returns what of a dial's time went by until an address was known, and
// with connecting.
func (a *attempt) phases(started, over time.Time) (dns, tcp time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	connecting := a.first
	if connecting.IsZero() {
		connecting = over // it did not come to that
	}
	if a.named {
		dns = connecting.Sub(started)
	}
	return dns, over.Sub(connecting)
}
