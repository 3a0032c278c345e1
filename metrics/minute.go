package metrics

// minuteBuckets is how many seconds a TIME_WAIT stands: the kernel's
// TCP_TIMEWAIT_LEN, which no setting changes.
const minuteBuckets = 60

// A minute counts what happened in the last 60 seconds. The second that has
// begun is one of them, so that it never counts for longer than that. The zero
// value is empty.
type minute struct {
	end     int64 // of the second that it counts now, in nanoseconds
	at      uint  // its bucket
	sum     uint64
	buckets *[minuteBuckets]uint32 // nil: there has been nothing
}

// add counts one at now, in nanoseconds. Time that goes back is taken to stand
// still.
func (m *minute) add(now int64) {
	if m.buckets == nil {
		m.buckets = new([minuteBuckets]uint32) // most of a Meter's minutes stay empty
	}
	if now >= m.end {
		m.pass(now)
	}
	m.buckets[m.at]++
	m.sum++
}

// read returns what the minute before now has.
func (m *minute) read(now int64) uint64 {
	if m.buckets != nil && now >= m.end {
		m.pass(now)
	}
	return m.sum
}

// pass forgets what is a minute ago by now, which is after the end.
func (m *minute) pass(now int64) {
	seconds := (now-m.end)/1e9 + 1
	m.end += seconds * 1e9
	for range min(seconds, minuteBuckets) {
		m.at = (m.at + 1) % minuteBuckets
		m.sum -= uint64(m.buckets[m.at])
		m.buckets[m.at] = 0
	}
}
