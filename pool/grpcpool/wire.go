package grpcpool

import (
	"context"
	"math"
	"net"
	"slices"
	"time"

	"github.com/lastack/lastack/metrics"
)

// A wire is a connection that a channel has dialled. The channel hears of its end
// through the Config's credentials.
type wire struct {
	net.Conn
	account *metrics.Conn // or nil
}

// A silencer is a connection that says for how long nothing has come from its
// peer; it reports false if it is closed, or does not know.
type silencer interface {
	Silence() (time.Duration, bool)
}

// dead reports whether the wire is known to be closed.
func (w wire) dead() bool {
	c, ok := w.Conn.(*conn)
	return ok && c.closed.Load()
}

// maxWires bounds the wires of a channel that does not hear of their ends.
const maxWires = 256

// dial makes a connection of the channel, if the gate lets it.
func (c *channel) dial(ctx context.Context, address string) (net.Conn, error) {
	var w wire
	dl := *c.p.dialing
	dl.born = func(a *metrics.Conn) { w.account = a }
	dl.why = metrics.AllBusy // or for the one that the channel had
	if !c.connected.Load() {
		dl.why = c.why
	}
	dial := dl.dial
	if c.p.dialFunc != nil {
		dial = c.p.dialFunc
	}
	conn, err := c.p.gate.dial(ctx, address, dial)
	if err != nil {
		return nil, err
	}
	c.connected.Store(true)
	w.Conn = conn
	c.rewire(func(ws []wire) []wire {
		ws = append(slices.DeleteFunc(ws, wire.dead), w)
		return slices.Delete(ws, 0, max(0, len(ws)-maxWires))
	})
	return conn, nil
}

// forget drops a connection that is closed.
func (c *channel) forget(conn net.Conn) {
	c.rewire(func(ws []wire) []wire {
		return slices.DeleteFunc(ws, func(w wire) bool { return w.Conn == conn })
	})
}

// rewire changes the channel's wires.
func (c *channel) rewire(change func([]wire) []wire) {
	c.mu.Lock()
	c.wires = change(c.wires)
	accounts := make([]*metrics.Conn, 0, len(c.wires))
	for _, w := range c.wires {
		if w.account != nil && c.p.dialing.observer == nil { // else that knows which call is on which
			accounts = append(accounts, w.account)
		}
	}
	c.accounts.Store(&accounts)
	c.mu.Unlock()
	c.leased(0, time.Now())
	c.settle()
}

// settle tells the Meter whether the channel's connections are busy: if it has
// several, all are or none. Others may settle it meanwhile: whoever does so last,
// looks again after the last change.
func (c *channel) settle() {
	for {
		accounts := c.accounts.Load()
		if accounts == nil {
			return
		}
		busy := c.calls.Load() > 0
		for _, a := range *accounts {
			if busy {
				a.Busy()
			} else {
				a.Rest()
			}
		}
		if (c.calls.Load() > 0) == busy {
			return
		}
	}
}

// leased tells the Meter which connection carries n more calls. Those of a
// channel without one wait for it. If the channel has several, nobody knows.
func (c *channel) leased(n int64, now time.Time) {
	c.untold.Add(n)
	accounts := c.accounts.Load() // after untold: whoever changes it looks there later
	if accounts == nil || len(*accounts) == 0 {
		return
	}
	n = c.untold.Swap(0)
	if len(*accounts) > 1 {
		return
	}
	for range n {
		(*accounts)[0].Leased(now)
	}
}

// leaves says why one of the channel's connections takes no more calls, or why
// none does if conn is nil.
func (c *channel) leaves(conn net.Conn, reason string) {
	c.mu.Lock()
	wires := slices.Clone(c.wires)
	c.mu.Unlock()
	for _, w := range wires {
		if w.account != nil && (conn == nil || w.Conn == conn) {
			w.account.Leave(reason)
		}
	}
}

// silence returns for how long nothing has come from any server of the channel.
// Where the connections do not know, it is the time since a call was answered.
func (c *channel) silence() time.Duration {
	c.mu.Lock()
	wires := slices.Clone(c.wires)
	c.mu.Unlock()
	least, known := time.Duration(math.MaxInt64), false
	for _, w := range wires {
		if s, ok := w.Conn.(silencer); ok {
			if d, ok := s.Silence(); ok {
				known = true
				least = min(least, d)
			}
		}
	}
	if known {
		return least
	}
	return c.p.now() - time.Duration(max(c.answered.Load(), c.ready.Load()))
}
