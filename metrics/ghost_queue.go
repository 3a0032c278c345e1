package metrics

// maxRequests bounds the requests of one host that a ghost follows. A program
// that never returns what it leases must not make us grow for ever.
const maxRequests = 1 << 16

const (
	waiting    = -1 // request.wait: it has no connection yet
	unfinished = -1 // request.end
)

// A request is one that a ghost follows.
type request struct {
	began   int64
	wait    int64 // how long it waited for a connection, or waiting
	end     int64 // when it ended in reality, or unfinished
	spoiled bool  // its connection is of no use afterwards
}

// A requestQueue has the requests of one host in the order in which they
// began. They get connections in that order, as with net/http, and are taken to
// end in that order. It is a ring that doubles when full.
type requestQueue struct {
	ring []request // its length is a power of two

	// Positions in the endless row of requests; head ≤ the others ≤ tail.
	head   uint64 // the first that is of interest
	ending uint64 // the first that has not ended
	served uint64 // none before it waits
	tail   uint64 // where the next goes

	nWaiting int
}

func (q *requestQueue) at(i uint64) *request { return &q.ring[i&uint64(len(q.ring)-1)] }

// push adds a request, or reports false if there are too many.
func (q *requestQueue) push(now, wait int64) bool {
	if q.tail-q.head == uint64(len(q.ring)) && !q.grow() {
		return false
	}
	*q.at(q.tail) = request{began: now, wait: wait, end: unfinished}
	q.tail++
	if wait == waiting {
		q.nWaiting++
	}
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

// finish ends the first request that has not ended and returns it, or nil.
func (q *requestQueue) finish(now int64) *request {
	if q.ending == q.tail {
		return nil
	}
	r := q.at(q.ending)
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
