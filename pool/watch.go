package pool

import (
	"container/list"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// youth is for how long a body is not watched.
const youth = time.Second

// bodies are the response bodies of a group that are open.
//
// A body is young at first, and its handle in a list, which costs next to
// nothing: almost all bodies are done before they are old. The others' handles
// are let go and given a cleanup, which finds those that are forgotten. Bodies
// that are to be reported when LongBody has passed are in a list of their own
// until then.
type bodies struct {
	group   *group
	suspect atomic.Bool // one was leaked or held

	mu          sync.Mutex
	first, last *handle   // the young, the oldest first
	held        list.List // of *openBody, the oldest first
	timer       *time.Timer
	due         time.Duration // what it is set for, by sinceStart; 0: it is not set
}

// open adds a handle, of the first response on its connection or another.
func (b *bodies) open(h *handle, first bool) {
	if b.traces(first) {
		h.trace = newTrace()
	}
	b.mu.Lock()
	if h.prev = b.last; h.prev != nil {
		h.prev.next = h
	} else {
		b.first = h
	}
	b.last = h
	b.armLocked()
	b.mu.Unlock()
}

// done takes a handle out, whose body is at its end or about to be closed.
func (b *bodies) done(h *handle) {
	b.mu.Lock()
	o := h.watched
	if o == nil {
		b.removeLocked(h)
	} else {
		b.reportedLocked(o)
	}
	b.mu.Unlock()
	if o != nil {
		o.cleanup.Stop()
	}
}

// forget takes out a body that was forgotten.
func (b *bodies) forget(o *openBody) {
	b.suspect.Store(true)
	b.mu.Lock()
	b.reportedLocked(o)
	b.mu.Unlock()
}

// removeLocked takes a handle off the list of the young.
func (b *bodies) removeLocked(h *handle) {
	if h.prev != nil {
		h.prev.next = h.next
	} else {
		b.first = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	} else {
		b.last = h.prev
	}
	h.prev, h.next = nil, nil
}

// reportedLocked takes a body off the list of those that are to be reported.
func (b *bodies) reportedLocked(o *openBody) {
	if o.held != nil {
		b.held.Remove(o.held)
		o.held = nil
	}
}

// armLocked sees to it that look is called when something is due, and not much
// more often than four times in a body's youth.
func (b *bodies) armLocked() {
	cfg := &b.group.t.cfg
	const never = math.MaxInt64
	due := time.Duration(never)
	if b.first != nil {
		due = b.first.since + cfg.youth
	}
	if e := b.held.Front(); e != nil {
		due = min(due, e.Value.(*openBody).since+cfg.longBody)
	}
	if due == never || b.due != 0 && due >= b.due {
		return
	}
	b.due = due
	wait := max(due-sinceStart(), cfg.youth/4)
	if b.timer == nil {
		b.timer = time.AfterFunc(wait, b.look)
	} else {
		b.timer.Reset(wait)
	}
}

// look watches the bodies that are young no more, and reports those that are
// held for too long.
func (b *bodies) look() {
	now := sinceStart()
	for b.watchNext(now) {
	}
	var held []*openBody
	t := b.group.t
	b.mu.Lock()
	for e := b.held.Front(); e != nil && now-e.Value.(*openBody).since >= t.cfg.longBody; e = b.held.Front() {
		o := e.Value.(*openBody)
		b.reportedLocked(o)
		held = append(held, o)
	}
	b.due = 0
	b.armLocked()
	b.mu.Unlock()
	for _, o := range held {
		b.suspect.Store(true)
		b.group.host.Held(o.trace.place())
		if t.observes(Held) {
			t.emit(o.event(Held))
		}
	}
}

// watchNext has the oldest handle watched, if it is young no more, and reports
// whether it was.
func (b *bodies) watchNext(now time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.first
	if h == nil || now-h.since < b.group.t.cfg.youth {
		return false
	}
	b.removeLocked(h)
	o := &openBody{inner: h.inner, conn: h.conn, since: h.since, leased: h.leased, trace: h.trace, returns: h.returns}
	h.watched = o
	if b.group.t.cfg.longBody > 0 && !h.upgraded {
		o.held = b.held.PushBack(o)
	}
	if !bubbled() {
		o.cleanup = runtime.AddCleanup(h, leaked, o)
	}
	return true
}

var programStart = time.Now()

// sinceStart is the time of a body. It reads the monotonic clock only.
func sinceStart() time.Duration { return time.Since(programStart) }

// bubbled reports whether the clock is that of a bubble of testing/synctest,
// which stands before this program began. What belongs to a bubble must be
// closed in it, and cleanups are called outside: what a test forgets there stays
// open, and synctest says so.
func bubbled() bool { return time.Now().UnixNano() < programStart.UnixNano() }
