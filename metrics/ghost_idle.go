package metrics

// An idleConn is an idle connection of a ghost.
type idleConn struct {
	host         *hostGhost
	since        int64
	newer, older *idleConn
}

// An idleList has the idle connections of all hosts, by the time since when
// they are idle.
type idleList struct {
	oldest, newest *idleConn
	n              int
}

func (l *idleList) add(c *idleConn) {
	c.older, c.newer = l.newest, nil
	if l.newest != nil {
		l.newest.newer = c
	} else {
		l.oldest = c
	}
	l.newest = c
	l.n++
}

func (l *idleList) remove(c *idleConn) {
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		l.oldest = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		l.newest = c.older
	}
	c.older, c.newer = nil, nil
	l.n--
}

// pushIdle adds an idle connection to the host, which must have room.
func (h *hostGhost) pushIdle(now int64) *idleConn {
	c := h.idle[h.nIdle]
	c.since = now
	h.nIdle++
	return c
}

// popIdle takes the i-th idle connection from the host.
func (h *hostGhost) popIdle(i int) *idleConn {
	c := h.idle[i]
	copy(h.idle[i:h.nIdle], h.idle[i+1:h.nIdle])
	h.nIdle--
	h.idle[h.nIdle] = c // for pushIdle to use
	return c
}
