package grpcpool

import (
	"context"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/internal/birth"
	"github.com/lastack/lastack/internal/sockopt"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// A dialing makes the connections of a channel.
type dialing struct {
	d    *dialer.Dialer
	host *metrics.Host // counts the connections; nil: d.Meter's, by address

	why string // for the ledger

	userTimeout time.Duration // TCP_USER_TIMEOUT, unless d has one

	observer *observer           // follows the connections; or nil
	born     func(*metrics.Conn) // is given the account of a connection that host counts, before it is dialled; or nil
}

func newDialing(d *dialer.Dialer) *dialing {
	if d == nil {
		d = newDialer()
	}
	return &dialing{d: d, why: metrics.Asked, userTimeout: keepaliveTimeout}
}

// newDialer returns a Dialer whose sockets are like those of grpc-go's own: TCP
// keep-alive is on, with the system's times.
func newDialer() *dialer.Dialer {
	return &dialer.Dialer{Net: net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1},
	}}
}

// dial connects to an address as grpc-go hands it to a dialer.
func (dl *dialing) dial(ctx context.Context, target string) (net.Conn, error) {
	network, address := split(target)
	if network != "tcp" {
		return dl.d.DialContext(ctx, network, address)
	}
	proxy, err := proxyFor(ctx, address)
	if err != nil {
		return nil, err
	}
	c, err := dl.connect(ctx, address, proxy)
	if err != nil {
		return nil, err
	}
	lc, ok := c.(*linger.Conn)
	if !ok {
		return c, nil
	}
	if proxy != nil {
		if err := askProxy(ctx, lc, proxy, address); err != nil {
			lc.Tell(linger.Abandoned)
			lc.Close()
			return nil, err
		}
	}
	cn := newConn(lc)
	if dl.d.UserTimeout == 0 && cn.raw != nil {
		// grpc-go sets what its keepalive allows, but on a *net.TCPConn only.
		cn.raw.Control(func(fd uintptr) { sockopt.SetUserTimeoutFD(fd, dl.userTimeout) })
	}
	return cn, nil
}

// connect makes a TCP connection to the address, or to the proxy, and counts it
// as the address's.
func (dl *dialing) connect(ctx context.Context, address string, proxy *url.URL) (net.Conn, error) {
	host := dl.host
	if host == nil && dl.d.Meter != nil {
		host = dl.d.Meter.Host(address)
	}
	note := birth.Note{FinReset: true}
	var why string
	var observed *account
	switch {
	case dl.observer != nil:
		dialled := address
		note.Account = func(c *linger.Conn) linger.Account {
			observed = dl.observer.account(host, dialled)
			if observed.conn != nil {
				observed.conn.SetAddrs(c.LocalAddr(), c.RemoteAddr())
				observed.conn.SetDialed(why)
				if dl.born != nil {
					dl.born(observed.conn)
				}
			}
			return observed
		}
	case host != nil:
		note.Account = func(c *linger.Conn) linger.Account {
			account := host.Born(true)
			account.SetAddrs(c.LocalAddr(), c.RemoteAddr())
			account.SetDialed(why)
			if dl.born != nil {
				dl.born(account)
			}
			return account
		}
	}
	var d metrics.Dial
	if host != nil {
		note.Dialed = func(dns, tcp time.Duration) { d.DNS, d.TCP = dns, tcp }
	}
	if proxy != nil {
		address = proxyAddress(proxy)
	}
	ctx = birth.With(ctx, note)
	if host != nil {
		host.Multiplexed()
		why = host.DialStart(dl.why)
	}
	started := time.Now()
	c, err := dl.d.DialContext(ctx, "tcp", address)
	if host != nil {
		d.Reason, d.Total, d.Err = why, time.Since(started), err
		host.DialDone(d)
	}
	if observed != nil {
		observed.made(c)
	}
	return c, err
}

// split returns the network and the address of what grpc-go asks a dialer for:
// "host:port", "unix:relative/path", "unix:///absolute/path", or the name of an
// abstract socket, which begins with a zero byte.
func split(target string) (network, address string) {
	if strings.HasPrefix(target, "\x00") {
		return "unix", "@" + target[1:]
	}
	path, ok := strings.CutPrefix(target, "unix:")
	if !ok {
		return "tcp", target
	}
	return "unix", strings.TrimPrefix(path, "//")
}
