package pool

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lastack/lastack/metrics"
)

// A server closes connections that have rested for a time of its own. A request
// that is sent just then is lost, and if it is a POST nobody may send it again.
// So a connection is not lent any more shortly before, and still watched: the
// server closes it first, which leaves no TIME_WAIT here.
//
// The time is known from the server's "Keep-Alive: timeout=" or learned from
// when it has closed resting connections. HTTP/2 needs none of this: GOAWAY
// says which requests were not served, and those are sent again.

// parseKeepAlive returns the parameters of a Keep-Alive field (RFC 2068 section
// 19.7.1.1): how long the server lets the connection rest, and how many more
// requests it takes. What is absent or makes no sense is negative.
func parseKeepAlive(values []string) (timeout time.Duration, requests int) {
	timeout, requests = -1, -1
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			name, value, _ := strings.Cut(part, "=")
			n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
			if err != nil {
				continue
			}
			switch name = strings.TrimSpace(name); {
			case strings.EqualFold(name, "timeout"):
				timeout = time.Duration(n) * time.Second
			case strings.EqualFold(name, "max"):
				requests = int(n)
			}
		}
	}
	return timeout, requests
}

// hear takes in what a response says of how long the connection will be kept.
func (c *conn) hear(h http.Header) {
	values := h["Keep-Alive"]
	if len(values) == 0 {
		return
	}
	timeout, requests := parseKeepAlive(values)
	if timeout < 0 && requests < 0 {
		return
	}
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	if timeout >= 0 {
		c.serverIdle, c.announced = timeout, true
	}
	if requests >= 0 {
		c.spent = requests == 0
		if n := c.uses + requests; c.maxUses == 0 || n < c.maxUses {
			c.maxUses = n // the last of them says goodbye
		}
	}
}

// margin is how long before the server closes a connection is not lent any
// more: for the request's way there, and for clocks that do not tick alike.
func margin(limit time.Duration) time.Duration { return min(limit/4, 2*time.Second) }

// A clock is what has been seen of the time after which a server closes
// connections that rest. It is guarded by the group's mu.
type clock struct {
	limit    time.Duration // learned; 0: not known
	closings []closing     // the last few
	longest  time.Duration // the longest rest that a connection was lent after
	when     time.Time     // and when that was
}

// A closing is one that the server began.
type closing struct {
	at   time.Time
	rest time.Duration // since the last response
}

const (
	// closingsKept bounds what a limit is learned from.
	closingsKept = 8

	// closingsAlike is how many closings after the same rest, at different
	// moments, are taken for a limit. A server that restarts closes all
	// connections at one moment, and one that closes at random does not do it
	// after the same rest.
	closingsAlike = 3

	// shortestLimit is the shortest that is learned. No server has a shorter
	// one, and what looks like it is something else.
	shortestLimit = 200 * time.Millisecond
)

// lent notes that a connection was lent after this rest.
func (k *clock) lent(rest time.Duration, now time.Time) {
	if rest > k.longest || len(k.closings) > 0 && k.when.Before(k.closings[0].at) {
		k.longest, k.when = rest, now
	}
}

// closed notes that the server has closed a connection after this rest.
func (k *clock) closed(rest time.Duration, now time.Time) {
	if rest < shortestLimit {
		return
	}
	if len(k.closings) == closingsKept {
		k.closings = slices.Delete(k.closings, 0, 1)
	}
	k.closings = append(k.closings, closing{now, rest})

	shortest, moments, since := rest, 0, now
	var last time.Time
	for _, c := range k.closings {
		if (c.rest - rest).Abs() > rest/8 {
			continue
		}
		if moments == 0 {
			since = c.at
		}
		if moments == 0 || c.at.Sub(last) > rest/20 {
			moments++
		}
		last = c.at
		shortest = min(shortest, c.rest)
	}
	if moments < closingsAlike {
		return
	}
	if k.longest > rest+rest/8 && k.when.After(since) {
		return // others have rested for longer, and lived
	}
	k.limit = shortest
}

// tellLimitLocked lets the ledger know how long the server is believed to let c
// rest.
func (c *conn) tellLimitLocked() {
	var k metrics.KeepAlive
	if limit, known := c.limitLocked(); known {
		k = metrics.KeepAlive{Timeout: limit, Learned: !c.announced || limit < c.serverIdle}
	}
	if k != c.g.keepAlive {
		c.g.keepAlive = k
		c.g.host.KeepAlive(k)
	}
}

// closedAtRestLocked notes that the server has closed c, which rested until now.
func (c *conn) closedAtRestLocked() {
	if !c.h2 {
		now := time.Now()
		c.g.clock.closed(now.Sub(c.pinged), now)
		c.tellLimitLocked()
	}
}

// closedAfter notes that the server has closed c as a request came that found it
// at rest for so long.
func (c *conn) closedAfter(rest time.Duration) {
	c.g.mu.Lock()
	c.g.clock.closed(rest, time.Now())
	c.tellLimitLocked()
	c.g.mu.Unlock()
}

// disproved forgets the limit: a connection has rested for longer.
func (k *clock) disproved() { k.limit, k.closings = 0, nil }

// limitLocked returns how long the server is believed to let c rest, and false
// if nothing is known.
func (c *conn) limitLocked() (time.Duration, bool) {
	learned := c.g.clock.limit
	switch {
	case c.announced && learned > 0:
		return min(c.serverIdle, learned), true // a proxy on the way may know less patience
	case c.announced:
		return c.serverIdle, true
	}
	return learned, learned > 0
}

// timeRestLocked sets how long c may be lent from now, that it comes to rest.
func (c *conn) timeRestLocked() {
	c.lendUntil, c.watchUntil = time.Time{}, time.Time{}
	if c.h2 {
		return
	}
	c.tellLimitLocked()
	limit, known := c.limitLocked()
	if c.spent {
		limit, known = 0, true
	}
	if !known {
		return
	}
	c.lendUntil = c.pinged.Add(limit - margin(limit))
	c.watchUntil = c.pinged.Add(limit + limit/4 + time.Second)
}

// retireLocked has c rest on without being lent, for its server to close it.
func (g *group) retireLocked(c *conn) {
	g.resting = remove(g.resting, c)
	g.retired = append(g.retired, c)
	c.retired = true
	g.kept--
}

// makeRoomLocked has retired connections leave that stand in the way of a dial:
// whoever waits does not wait for a server to close them.
func (g *group) makeRoomLocked() {
	for n := g.wantDialsLocked() - g.owned; n > 0 && len(g.retired) > 0 && g.crammed(); n-- {
		c := g.retired[0]
		g.leaveLocked(c, metrics.IdleTimeout)
		go c.close() // not under the lock; it ends with the write of a goodbye
	}
}

// outlivedLocked is called when the server has not closed c in its time. If that
// was learned, it was learned wrong, and c may be lent again; it reports
// whether it is.
func (g *group) outlivedLocked(c *conn) bool {
	if c.announced || c.spent {
		return false
	}
	g.clock.disproved()
	c.tellLimitLocked()
	g.retired = remove(g.retired, c)
	g.insertLocked(c)
	c.retired = false
	g.kept++
	c.lendUntil, c.watchUntil = time.Time{}, time.Time{}
	return true
}
