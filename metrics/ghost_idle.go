package metrics

// An idleStack has the idle connections of one host in one ghost, in the order
// in which they became idle. It is a ring that doubles when full.
type idleStack struct {
	ring []idleConn // its length is a power of two, or 0
	head uint       // of the oldest
	n    int
}

// An idleConn is an idle connection of a ghost.
type idleConn struct {
	since int64
	seq   uint64 // grows with since, and tells apart what has the same
}

func (s *idleStack) oldest() *idleConn { return &s.ring[s.head&uint(len(s.ring)-1)] }

func (s *idleStack) push(c idleConn) {
	if s.n == len(s.ring) {
		s.grow()
	}
	s.ring[(s.head+uint(s.n))&uint(len(s.ring)-1)] = c
	s.n++
}

func (s *idleStack) grow() {
	old := *s
	s.ring = make([]idleConn, max(2, 2*len(old.ring)))
	for i := range s.n {
		s.ring[i] = old.ring[(old.head+uint(i))&uint(len(old.ring)-1)]
	}
	s.head = 0
}

// An idleList has the hosts that have idle connections, the one with the oldest
// connection first. A connection that is lent and comes back moves nothing
// here: a host stays in the list without any until it is the first, or gets
// one that is younger than what others have.
type idleList struct {
	first, last *ghostPart
	n           int    // connections of all hosts
	seq         uint64 // of the last that became idle
}

// add gives p an idle connection.
func (l *idleList) add(p *ghostPart, now int64) {
	l.seq++
	l.n++
	p.idle.push(idleConn{now, l.seq})
	if p.idle.n == 1 && l.last != p {
		if p.before != nil || l.first == p {
			l.unlink(p)
		}
		l.insert(p, l.last)
	}
}

// take takes the newest idle connection from p, which must have one.
func (l *idleList) take(p *ghostPart) {
	l.n--
	p.idle.n--
}

// oldest returns the host with the oldest connection, or nil.
func (l *idleList) oldest() *ghostPart {
	for l.first != nil && l.first.idle.n == 0 {
		l.unlink(l.first)
	}
	return l.first
}

// drop takes the oldest idle connection from p, which must have one.
func (l *idleList) drop(p *ghostPart) {
	l.n--
	p.idle.n--
	p.idle.head++
	if p.idle.n == 0 {
		l.unlink(p)
		return
	}
	after := p
	for next := p.next; next != nil && (next.idle.n == 0 || next.idle.oldest().seq < p.idle.oldest().seq); next = next.next {
		after = next
	}
	if after != p {
		l.unlink(p)
		l.insert(p, after)
	}
}

// insert links p behind after, or first if that is nil.
func (l *idleList) insert(p, after *ghostPart) {
	p.before = after
	if after != nil {
		p.next = after.next
		after.next = p
	} else {
		p.next = l.first
		l.first = p
	}
	if p.next != nil {
		p.next.before = p
	} else {
		l.last = p
	}
}

func (l *idleList) unlink(p *ghostPart) {
	if p.before != nil {
		p.before.next = p.next
	} else {
		l.first = p.next
	}
	if p.next != nil {
		p.next.before = p.before
	} else {
		l.last = p.before
	}
	p.before, p.next = nil, nil
}
