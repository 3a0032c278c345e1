package metrics

import (
	"fmt"
	"strings"
	"time"

	"github.com/lastack/lastack/linger"
)

// Advice says in plain sentences what the counts of the host show to be wrong,
// and what may be done about it, the worst first. It is for whoever is on call:
// what happens once in a while anywhere is not said. It is nil if there is
// nothing to say.
func (h HostSnapshot) Advice() []string {
	var said []string
	for _, about := range []func(HostSnapshot) string{
		adviseLeaks,
		adviseDials,
		adviseWaits,
		adviseTimeWaits,
		adviseUnmanaged,
		adviseHurried,
		adviseKeepAlive,
		adviseBroken,
		adviseCanceled,
		adviseBodies,
		adviseIdle,
		adviseShortLives,
		adviseHeld,
	} {
		if s := about(h); s != "" {
			said = append(said, s)
		}
	}
	return said
}

// many reports whether n is more than what happens once in a while, and at
// least so many of a thousand.
func many(n, perMille, of uint64) bool { return n >= 10 && n*1000 >= of*perMille }

func adviseLeaks(h HostSnapshot) string {
	if h.Leaks == 0 {
		return ""
	}
	return fmt.Sprintf("The program never closed %s%s. The pool has closed them, late. Close each body, also where an error is returned after the response.",
		number(h.Leaks, "response body", "response bodies"), sitesOf(h.LeakedAt, func(l LeakSite) uint64 { return l.Leak }))
}

func adviseHeld(h HostSnapshot) string {
	if h.HeldBodies == 0 {
		return ""
	}
	return fmt.Sprintf("The program kept %s open for longer than LongBody%s. Each keeps its connection from other requests.",
		number(h.HeldBodies, "response body", "response bodies"), sitesOf(h.LeakedAt, func(l LeakSite) uint64 { return l.Held }))
}

// sitesOf names the sites with the largest counts.
func sitesOf(sites []LeakSite, count func(LeakSite) uint64) string {
	known := make(map[string]uint64)
	for _, l := range sites {
		if n := count(l); n > 0 && l.Site != unknownSite && l.Site != overflowName {
			known[l.Site] = n
		}
	}
	if len(known) == 0 {
		return ""
	}
	return " (" + most(known) + ")"
}

// most prints the three largest counts of a map.
func most(m map[string]uint64) string {
	all := strings.Split(counts(m), ", ")
	return strings.Join(all[:min(3, len(all))], ", ")
}

func adviseDials(h HostSnapshot) string {
	if !many(h.DialErrors, 100, h.Dials) {
		return ""
	}
	return fmt.Sprintf("%d of %d dials failed. Their errors say why; one that is dialer.ErrPortsExhausted says what holds the ports.", h.DialErrors, h.Dials)
}

func adviseWaits(h HostSnapshot) string {
	if !many(h.Timeouts, 1, h.Requests) {
		return ""
	}
	if many(h.DialErrors, 100, h.Dials) {
		return fmt.Sprintf("%d of %d requests gave up waiting for a connection, while dials failed.", h.Timeouts, h.Requests)
	}
	return fmt.Sprintf("%d of %d requests gave up waiting for a connection. The server is slower than the requests come, or the limit of connections (MaxConnsPerHost, MaxConns) is too low for them.", h.Timeouts, h.Requests)
}

func adviseTimeWaits(h HostSnapshot) string {
	if !many(h.TimeWaits, 10, endings(h)) {
		return ""
	}
	return fmt.Sprintf("%d of %d connections left a TIME_WAIT here, because this side closed first and could not reset (they mostly left for %s). A protocol of your own can say goodbye first (linger.Goodbye); a Policy with Fallback Plain asks for this.",
		h.TimeWaits, endings(h), most(h.Reasons))
}

func endings(h HostSnapshot) (n uint64) {
	for _, e := range h.Ended {
		n += e
	}
	return n
}

func adviseUnmanaged(h HostSnapshot) string {
	if h.Unmanaged == 0 || h.Unmanaged*10 < h.Born {
		return ""
	}
	return fmt.Sprintf("%d of %d connections are not a *net.TCPConn, so nobody chooses or sees how they end: TIME_WAITs that they leave are not counted. Let the DialContext of Base return the *net.TCPConn that it has, or leave dialling to the pool.", h.Unmanaged, h.Born)
}

func adviseHurried(h HostSnapshot) string {
	if !many(h.Hurried, 10, endings(h)) {
		return ""
	}
	return fmt.Sprintf("%d of %d farewells did not wait for the server, because too many were under way at a time. Something closes connections in bulk: they mostly left for %s.", h.Hurried, endings(h), most(h.Reasons))
}

func adviseKeepAlive(h HostSnapshot) string {
	stale := h.Reasons[Stale] + h.Reasons[ServerClose]
	if !many(h.Retries, 1, h.Leases) || !many(stale, 0, 0) {
		return ""
	}
	if h.KeepAlive.Timeout == 0 {
		return fmt.Sprintf("The server, or a proxy before it, closed %d connections at times that show no rule, and %d requests were sent again for that. A shorter IdleTimeout may spare them.", stale, h.Retries)
	}
	from := "as it says"
	if h.KeepAlive.Learned {
		from = "as its closes show"
	}
	limit := h.KeepAlive.limit()
	return fmt.Sprintf("The server closes connections that have rested for %v, %s, and %d requests were sent again because theirs was just closed. Let its limit be longer than IdleTimeout here, or IdleTimeout shorter than %v.", limit, from, h.Retries, limit)
}

func adviseBroken(h HostSnapshot) string {
	n := h.Reasons[Error] + h.Reasons[Timeout]
	if !many(n, 100, h.Born) {
		return ""
	}
	lost := ""
	if l := h.Ended[linger.Lost]; l > 0 {
		lost = fmt.Sprintf(", and %d had been reset or lost before they were closed", l)
	}
	return fmt.Sprintf("%d of %d connections were given up after an error or a timeout%s. The server, or what lies between, breaks them.", n, h.Born, lost)
}

func adviseCanceled(h HostSnapshot) string {
	if !many(h.Reasons[Canceled], 100, h.Born) || h.Multiplexed {
		return ""
	}
	return fmt.Sprintf("%d of %d connections were closed because their request was cancelled, which is the only way to stop a request of HTTP/1.1. Longer timeouts would spare them; HTTP/2 would too.", h.Reasons[Canceled], h.Born)
}

func adviseBodies(h HostSnapshot) string {
	if !many(h.Reasons[BodyNotDrained], 100, h.Born) {
		return ""
	}
	return fmt.Sprintf("%d of %d connections were closed because the program closed a response long before its end. Read responses to the end where they are not much longer, or ask for less.", h.Reasons[BodyNotDrained], h.Born)
}

func adviseIdle(h HostSnapshot) string {
	if n := h.DialedBy[MaxIdle]; many(n, 200, h.Dials) {
		return fmt.Sprintf("%d of %d dials took the place of a connection that MaxIdlePerHost had closed.%s", n, h.Dials, enough(h))
	}
	if n := h.DialedBy[IdleTimeout]; many(n, 200, h.Dials) {
		bound := ""
		if h.KeepAlive.Timeout > 0 {
			bound = fmt.Sprintf(", as far as the server's own limit of %v allows", h.KeepAlive.limit())
		}
		return fmt.Sprintf("%d of %d dials took the place of a connection that had rested for IdleTimeout. A longer one would spare them%s.", n, h.Dials, bound)
	}
	if n := h.DialedBy[ServerClose] + h.DialedBy[Stale]; many(n, 200, h.Dials) && h.KeepAlive.Timeout > 0 {
		return fmt.Sprintf("%d of %d dials took the place of a connection that the server had closed, which lets one rest for no longer than %v. A longer limit of its own would spare them.",
			n, h.Dials, h.KeepAlive.limit())
	}
	return ""
}

// enough names the smallest pool that would have dialled half as often.
func enough(h HostSnapshot) string {
	for _, w := range h.Curve {
		if w.Dials*2 <= h.Dials {
			return fmt.Sprintf(" With room for %d it would have been about %d.", w.MaxIdle, w.Dials)
		}
	}
	return " A larger one would spare them."
}

func adviseShortLives(h HostSnapshot) string {
	n := h.Reasons[MaxRequests] + h.Reasons[MaxAge]
	if !many(n, 500, h.Born) || h.Leases >= 10*h.Born {
		return ""
	}
	return fmt.Sprintf("%d of %d connections were replaced for MaxRequests or MaxAge after %.1f requests each. Higher limits would spare dials.", n, h.Born, float64(h.Leases)/float64(h.Born))
}

// number returns n with the name of what it counts.
func number(n uint64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// limit is the server's limit as people say it: what was learned is some
// milliseconds off.
func (k KeepAlive) limit() time.Duration {
	if k.Timeout > time.Second {
		return k.Timeout.Round(100 * time.Millisecond)
	}
	return k.Timeout.Round(time.Millisecond)
}
