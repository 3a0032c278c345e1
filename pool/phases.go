package pool

import (
	"crypto/tls"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/lastack/lastack/metrics"
)

// Phases measures what a dial does, by httptrace: so it does for every dialer
// that hands its context on, and beside the hooks of the request that the dial
// began for.
type phases struct {
	mu sync.Mutex // hooks come on several goroutines, and some after the dial

	dnsAt, tcpAt, tlsAt time.Time
	dns, tcp, tls       time.Duration
	connected           bool
	proto               string // that TLS has negotiated last
}

// trace returns the hooks.
func (p *phases) trace() *httptrace.ClientTrace {
	locked := func(f func()) {
		p.mu.Lock()
		defer p.mu.Unlock()
		f()
	}
	return &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { locked(func() { p.dnsAt = time.Now() }) },
		DNSDone:  func(httptrace.DNSDoneInfo) { locked(func() { p.dns = time.Since(p.dnsAt) }) },
		// Of several addresses it is from the first to the one that answers first.
		ConnectStart: func(_, _ string) {
			locked(func() {
				if p.tcpAt.IsZero() {
					p.tcpAt = time.Now()
				}
			})
		},
		ConnectDone: func(_, _ string, err error) {
			locked(func() {
				if !p.connected {
					p.tcp = time.Since(p.tcpAt)
					p.connected = err == nil
				}
			})
		},
		TLSHandshakeStart: func() { locked(func() { p.tlsAt = time.Now() }) },
		TLSHandshakeDone: func(s tls.ConnectionState, err error) {
			locked(func() {
				p.tls += time.Since(p.tlsAt) // there is one with a proxy, and one with the server
				p.proto = s.NegotiatedProtocol
			})
		},
	}
}

// of returns the dial with its phases, and the protocol that TLS has negotiated.
func (p *phases) of(d metrics.Dial) (metrics.Dial, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.DNS, d.TCP, d.TLS = p.dns, p.tcp, p.tls
	return d, p.proto
}
