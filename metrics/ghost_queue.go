package metrics

// maxRequests bounds the requests of one host that a ghost follows one by one.
// A program that never returns what it leases must not make us grow for ever.
const maxRequests = 1 << 16

const (
	waiting    = -1 // request.wait: it has no connection yet
	unfinished = -1 // request.end
)

// A request is one that found no idle connection in a ghost.
type request struct {
	nth     uint64 // of its host
	began   int64
	wait    int64 // how long it waited for a connection, or waiting
	end     int64 // when it ended in reality, or unfinished
	spoiled bool  // its connection is of no use afterwards
}

// A requestQueue has the requests of one host in the order in which they
// began. They get connections in that order, as with net/http, and are taken to
// end in that order. Those that found an idle connection, which most do, are
// only counted; the others are in a ring that doubles when full.
type requestQueue struct {
	begun, ended uint64

	ring []request // its length is a power of two

	// Positions in the endless row of what has been in the ring; head ≤ the
	// others ≤ tail.
	head   uint64 // the first that is of interest
	ending uint64 // the first that has not ended
	served uint64 // none before it waits
	tail   uint64 // where the next goes

	nWaiting int
}

func (q *requestQueue) at(i uint64) *request { return &q.ring[i&uint64(len(q.ring)-1)] }

// wait adds a request that waits, or reports false if there are too many to
// follow.
func (q *requestQueue) wait(now int64) bool {
	if q.tail-q.head == uint64(len(q.ring)) && !q.grow() {
		return false
	}
	*q.at(q.tail) = request{nth: q.begun, began: now, wait: waiting, end: unfinished}
	q.begun++
	q.tail++
	q.nWaiting++
	return true
}

func (q *requestQueue) grow() bool {
	old := *q
	if len(old.ring) >= maxRequests {
		return false
	}
	q.ring = make([]request, max(16, 2*len(old.ring)))
	for i := q.head; i < q.tail; i++ {
		*q.at(i) = *old.at(i)
	}
	return true
}

// finish ends the first request that has not ended, which there must be. It
// returns nil for one that did not have to wait.
func (q *requestQueue) finish(now int64) *request {
	nth := q.ended
	q.ended++
	if q.ending == q.tail {
		return nil
	}
	r := q.at(q.ending)
	if r.nth != nth {
		return nil
	}
	q.ending++
	r.end = now
	return r
}

// grant gives a connection to the first request that waits and returns it, or
// nil.
func (q *requestQueue) grant(now int64) *request {
	if q.nWaiting == 0 {
		return nil
	}
	q.served = max(q.served, q.head)
	for q.at(q.served).wait != waiting {
		q.served++
	}
	r := q.at(q.served)
	q.served++
	q.nWaiting--
	r.wait = now - r.began
	return r
}

// trim forgets the requests at the head that have ended and had a connection.
func (q *requestQueue) trim() {
	for q.head < q.ending && q.at(q.head).wait != waiting {
		q.head++
	}
}
