package metrics

// minuteBuckets is how many seconds a TIME_WAIT stands: the kernel's
// TCP_TIMEWAIT_LEN, which no setting changes.
const minuteBuckets = 60

// A minute counts what happened in the last 60 seconds. The second that has
// begun is one of them, so that it never counts for longer than that. The zero
// value is empty.
type minute struct {
	second  int64 // the last that anything was counted in, or that was read
	sum     uint64
	buckets [minuteBuckets]uint32
}

// add counts one at now, in nanoseconds. Time that goes back is taken to stand
// still.
func (m *minute) add(now int64) {
	second := now / 1e9
	if second > m.second {
		m.pass(second)
	}
	m.buckets[uint64(m.second)%minuteBuckets]++
	m.sum++
}

// read returns what the minute before now has.
func (m *minute) read(now int64) uint64 {
	if second := now / 1e9; second > m.second {
		m.pass(second)
	}
	return m.sum
}

// pass forgets what is a minute ago by then.
func (m *minute) pass(second int64) {
	for range min(second-m.second, minuteBuckets) {
		m.second++
		b := &m.buckets[uint64(m.second)%minuteBuckets]
		m.sum -= uint64(*b)
		*b = 0
	}
	m.second = second
}
