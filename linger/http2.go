package linger

import (
	"bytes"
	"crypto/rand"
	"time"
)

// An http2Word is the goodbye that HTTP/2 has a word for: GOAWAY, followed by
// a PING whose acknowledgement shows that the peer has read both
// (RFC 9113 sections 6.7 and 6.8). It recognises the peer's answers in the
// stream of bytes without parsing frames, because the layer above may have
// read half of one.
type http2Word struct {
	ack    [17]byte // the frame that acknowledges our PING
	tail   []byte   // the end of what was heard, in which either may have begun
	acked  bool
	goaway bool      // the peer has said GOAWAY before the acknowledgement
	until  time.Time // end of the moment in which a peer that acknowledged may close
}

const (
	frameHeaderLen = 9
	lengthLen      = 3        // of those, which say how long the payload is
	goawayLen      = 8        // at least
	maxFrameLen    = 16 << 10 // unless our SETTINGS allowed more
)

// goawayHeader is the header of a GOAWAY frame but for its length.
var goawayHeader = []byte{0x7, 0, 0, 0, 0, 0}

func newHTTP2Word() *http2Word {
	w := &http2Word{ack: [17]byte{2: 8, 3: 0x6, 4: 0x1}}
	rand.Read(w.ack[frameHeaderLen:])
	return w
}

// message returns GOAWAY and PING. The last stream is 0, because the server
// has opened none: peers refuse an odd one.
func (w *http2Word) message() []byte {
	msg := make([]byte, 0, 2*17)
	msg = append(msg, 0, 0, 8)
	msg = append(msg, goawayHeader...)
	msg = append(msg, 0, 0, 0, 0 /* last stream */, 0, 0, 0, 0 /* NO_ERROR */)
	ping := w.ack
	ping[4] = 0
	return append(msg, ping[:]...)
}

// heard takes in what the peer has sent.
func (w *http2Word) heard(p []byte) {
	if w.acked {
		return
	}
	all := append(w.tail, p...)
	// The last bytes may be the beginning of the acknowledgement, and only
	// what comes before it counts.
	before := all[:max(0, len(all)-len(w.ack)+1)]
	if at := bytes.Index(all, w.ack[:]); at >= 0 {
		w.acked = true
		before = all[:at]
	}
	w.goaway = w.goaway || saysGoaway(before)
	keep := len(w.ack) - 1 + lengthLen + len(goawayHeader) - 1
	w.tail = append(w.tail[:0:0], all[max(0, len(all)-keep):]...)
}

// staysOpen reports whether the peer has read everything and will not close:
// it has acknowledged without a GOAWAY of its own. (A peer that does say GOAWAY
// closes: Go's server after one second.)
func (w *http2Word) staysOpen() bool { return w.acked && !w.goaway }

// maxMoment is how long a peer that has acknowledged without a GOAWAY is
// waited for.
const maxMoment = 30 * time.Millisecond

// moment returns the end of the moment that a peer has which staysOpen, no
// later than the deadline.
func (w *http2Word) moment(deadline time.Time) time.Time {
	if w.until.IsZero() {
		w.until = time.Now().Add(maxMoment)
	}
	if w.until.Before(deadline) {
		return w.until
	}
	return deadline
}

// saysGoaway reports whether p has the header of a GOAWAY frame with a length
// that such a frame can have: the end of a RST_STREAM frame of stream 7, and what
// follows, looks like one of length 0.
func saysGoaway(p []byte) bool {
	for i := 3; i+len(goawayHeader) <= len(p); i++ {
		length := int(p[i-3])<<16 | int(p[i-2])<<8 | int(p[i-1])
		if bytes.HasPrefix(p[i:], goawayHeader) && length >= goawayLen && length <= maxFrameLen {
			return true
		}
	}
	return false
}
