package pool

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// An Event is something that happened to a connection of a Transport, or to a
// request that needed one. Fields that do not belong to its Kind are zero.
type Event struct {
	Kind  EventKind
	Key   Key
	Conn  uint64 // the connection's number in its Transport, from 1; 0: none
	HTTP2 bool   // the connection speaks HTTP/2

	Reused bool          // Leased: the connection had been lent before
	Reason string        // Leaving: why, as in the constants of package metrics
	Ending linger.Ending // Ended: how
	Took   time.Duration // Born: the dial. Waited: the wait. Ended: the connection's life. Leaked, Held: since the response
	Err    error         // Waited: why it was for nothing. Replayed: what became of the attempt
	Site   string        // Leaked, Held: the file:line that sent the request, if known
}

// An EventKind says what happened.
type EventKind uint8

const (
	// Born: a dial has brought the connection into the pool.
	Born EventKind = iota + 1

	// Leased: a request was given the connection.
	Leased

	// Returned: a request needs the connection no longer.
	Returned

	// Leaving: the connection has left the pool, for Reason; its farewell begins.
	Leaving

	// Ended: the connection's farewell is over. Connections whose end nobody
	// sees (see metrics.Snapshot.Unmanaged) end as linger.Unknown.
	Ended

	// Waited: a request found no connection free, and has one or has given up.
	Waited

	// Replayed: a request is sent again.
	Replayed

	// Leaked: a response was forgotten with its body open, and the pool has
	// closed that.
	Leaked

	// Held: a response's body has been open for longer than Transport.LongBody.
	Held
)

var eventNames = [...]string{
	Born: "born", Leased: "leased", Returned: "returned", Leaving: "leaving", Ended: "ended",
	Waited: "waited", Replayed: "replayed", Leaked: "leaked", Held: "held",
}

// String returns the kind in lower case, as in "born".
func (k EventKind) String() string {
	if int(k) < len(eventNames) && eventNames[k] != "" {
		return eventNames[k]
	}
	return "unknown"
}

// level is what a Logger gets the event as: what is wrong with the program is
// a warning, and everything else for whoever looks closely.
func (k EventKind) level() slog.Level {
	if k == Leaked || k == Held {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// message is what a Logger gets the event as.
func (k EventKind) message() string {
	switch k {
	case Leaked:
		return "response body was never closed"
	case Held:
		return "response body has been open for long"
	}
	return "connection " + k.String()
}

// observes reports whether anybody wants events of the kind.
func (t *Transport) observes(k EventKind) bool {
	return t.Events != nil || t.Logger != nil && t.Logger.Enabled(context.Background(), k.level())
}

// emit tells Events and Logger. It must be called without a lock.
func (t *Transport) emit(e Event) {
	if t.Events != nil {
		t.Events(e)
	}
	if t.Logger != nil && t.sites.first(e) {
		t.Logger.LogAttrs(context.Background(), e.Kind.level(), e.Kind.message(), e.attrs()...)
	}
}

// attrs returns the fields that belong to the event's kind.
func (e Event) attrs() []slog.Attr {
	a := append(make([]slog.Attr, 0, 8), slog.String("key", e.Key.String()))
	if e.Conn != 0 {
		a = append(a, slog.Uint64("conn", e.Conn), slog.Bool("http2", e.HTTP2))
	}
	if e.Kind == Leased {
		a = append(a, slog.Bool("reused", e.Reused))
	}
	if e.Reason != "" {
		a = append(a, slog.String("reason", e.Reason))
	}
	if e.Kind == Ended {
		a = append(a, slog.String("ending", e.Ending.String()))
	}
	if e.Took != 0 {
		a = append(a, slog.Duration("took", e.Took))
	}
	if e.Err != nil {
		a = append(a, slog.String("err", e.Err.Error()))
	}
	if e.Site != "" {
		a = append(a, slog.String("site", e.Site))
	}
	return a
}

// event returns an event of the connection.
func (c *conn) event(k EventKind) Event {
	return Event{Kind: k, Key: c.g.key, Conn: c.number, HTTP2: c.h2}
}

// emitEnded tells how the connection has ended.
func (c *conn) emitEnded(e linger.Ending) {
	if !c.g.t.observes(Ended) {
		return
	}
	ev := c.event(Ended)
	ev.Ending, ev.Took = e, time.Since(c.born)
	c.g.t.emit(ev)
}

// An observedLife is the account of a connection whose ending is an Event.
type observedLife struct {
	*metrics.Conn

	mu     sync.Mutex // held alone
	c      *conn      // nil until it is a connection of the pool
	over   bool
	ending linger.Ending
}

// Ended counts the ending and tells of it.
func (l *observedLife) Ended(e linger.Ending, hurried bool) {
	l.Conn.Ended(e, hurried)
	l.mu.Lock()
	c := l.c
	l.over, l.ending = true, e
	l.mu.Unlock()
	if c != nil {
		c.emitEnded(e)
	}
}

// joined says that the account is c's, whose birth has been told.
func (l *observedLife) joined(c *conn) {
	l.mu.Lock()
	l.c = c
	over, e := l.over, l.ending
	l.mu.Unlock()
	if over {
		c.emitEnded(e)
	}
}
