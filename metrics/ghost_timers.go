package metrics

// timers is a heap of the connections that become free later: those being
// dialled, and those whose request ends later than it did in reality.
type timers struct {
	heap []timer
	seq  uint64
}

type timer struct {
	at   int64
	seq  uint64 // among equal times, first come first
	part *ghostPart
}

func (t timer) before(u timer) bool {
	return t.at < u.at || t.at == u.at && t.seq < u.seq
}

func (ts *timers) push(at int64, part *ghostPart) {
	t := timer{at, ts.seq, part}
	ts.seq++
	ts.heap = append(ts.heap, t)
	h, i := ts.heap, len(ts.heap)-1
	for i > 0 {
		parent := (i - 1) / 2
		if !t.before(h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = t
}

func (ts *timers) pop() *ghostPart {
	h := ts.heap
	first, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	ts.heap = h
	if len(h) == 0 {
		return first.part
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].before(h[child]) {
			child++
		}
		if !h[child].before(last) {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = last
	return first.part
}
