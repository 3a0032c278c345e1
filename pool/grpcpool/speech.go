package grpcpool

import (
	"bytes"
	"sync/atomic"
)

// A speech follows what is written to a connection as far as its end depends on
// it: whether a call was ever sent, and whether a goodbye has been said. It parses
// plaintext up to the first HEADERS frame and looks at the ends of writes from
// then on, and of TLS at what shows of a record: its type, and its length.
//
// One goroutine at a time writes; another may ask for the last word.
type speech struct {
	word atomic.Uint32 // a word

	tls   bool
	head  [frameHeaderLen]byte // of the frame that is being written
	have  int                  // bytes of it
	skip  int                  // bytes of the payload, or of the preface, that follow
	begun bool
}

type word uint32

const (
	// unused: no call can have been sent.
	unused word = iota

	// used: one has, or it cannot be told.
	used

	// goAway: HTTP/2 in plaintext has said that it closes.
	goAway

	// closeNotify: TLS has said that it closes.
	closeNotify
)

const (
	frameHeaderLen = 9
	frameHeaders   = 0x1

	recordAlert     = 21
	recordHandshake = 22
	recordData      = 23

	// sealedAlert is the length of a record with an alert in TLS 1.3, which
	// hides its type (RFC 8446 section 5.2): a header of 5 bytes, 2 of the alert,
	// 1 of its type, and 16 that seal them. No HTTP/2 frame is as short.
	sealedAlert = 24
)

// lastWords end the GOAWAY with which a transport of grpc-go closes. It is the
// last frame that it writes.
var lastWords = []byte("client transport shutdown")

// goodbyeLen is the length of that frame: the last stream, NO_ERROR, lastWords.
var goodbyeLen = frameHeaderLen + 8 + len(lastWords)

// preface is what an HTTP/2 client says first (RFC 9113 section 3.4).
var preface = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

func (s *speech) last() word { return word(s.word.Load()) }

// hear takes in what is about to be written. Whatever it does not understand
// counts as used.
func (s *speech) hear(p []byte) {
	if len(p) == 0 {
		return
	}
	if last := s.last(); last != unused && !s.tls {
		// A Write ends where a frame does, or where a buffer of 32 KiB was full.
		switch {
		case bytes.HasSuffix(p, lastWords):
			s.word.Store(uint32(goAway))
		case last == goAway:
			s.word.Store(uint32(used)) // it was data that said so
		}
		return
	}
	if !s.begun {
		s.begun = true
		switch {
		case p[0] == recordHandshake:
			s.tls = true
		case bytes.HasPrefix(p, preface):
			s.skip = len(preface)
		default:
			s.word.Store(uint32(used))
			return
		}
	}
	if s.tls {
		s.hearRecord(p)
		return
	}
	s.hearFrames(p)
}

func (s *speech) hearRecord(p []byte) {
	switch {
	case p[0] == recordHandshake, s.last() == unused && p[0] != recordData:
		// The handshake, which may fail with an alert.
	case p[0] == recordAlert, p[0] == recordData && len(p) == sealedAlert:
		s.word.Store(uint32(closeNotify))
	default:
		s.word.Store(uint32(used))
	}
}

func (s *speech) hearFrames(p []byte) {
	for {
		n := min(s.skip, len(p))
		s.skip -= n
		p = p[n:]
		if len(p) == 0 {
			return
		}
		n = copy(s.head[s.have:], p)
		s.have += n
		p = p[n:]
		if s.have < len(s.head) {
			return
		}
		s.have = 0
		if s.head[3] == frameHeaders {
			s.word.Store(uint32(used))
			return
		}
		s.skip = int(s.head[0])<<16 | int(s.head[1])<<8 | int(s.head[2])
	}
}
