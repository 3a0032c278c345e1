package grpcpool

import (
	"encoding/binary"
	"math"
)

// A hearer is told what the server says of a connection as a whole. All but
// closed is called by the goroutine that reads, before grpc-go sees the frame:
// a channel whose connection is ready has heard its limit. None may block.
type hearer interface {
	// settings says how many streams the connection may have at a time. It is
	// called at the server's first SETTINGS frame, with math.MaxUint32 if that
	// names no limit, and whenever another changes the limit.
	settings(maxStreams uint32)

	// goAway says that the server has sent a GOAWAY frame, with no more than the
	// first maxDebug bytes of its debug data. A server that shuts down may send
	// two.
	goAway(code uint32, debug string)

	// closed is called once, by the goroutine that first closes the connection.
	// A frame that is being read meanwhile may still be told after it.
	closed()
}

// A frames follows what an HTTP/2 server sends (RFC 9113 section 4.1), however
// it is cut into reads. It looks at SETTINGS and GOAWAY, and passes over other
// frames by their length. Where the bytes are no HTTP/2 it follows them no
// further: to judge them is up to the reader of the connection.
//
// The zero frames is at the beginning of a connection.
type frames struct {
	part part
	have uint8                // bytes in buf
	buf  [frameHeaderLen]byte // a header, a setting, or the fixed part of GOAWAY, as far as it has come
	left uint32               // bytes of the payload that are still to come

	begun   bool   // the server's first SETTINGS has come
	limit   uint32 // in effect
	limited bool   // this SETTINGS frame names a limit
	named   uint32 // which one

	code  uint32 // of this GOAWAY frame
	debug []byte // of this GOAWAY frame
}

// A part is what the next byte belongs to.
type part uint8

const (
	inHeader part = iota
	inPayload
	inSettings
	inGoAway
	inDebug
	lost // these are no frames
)

const (
	settingLen = 6
	goAwayLen  = 8 // last stream and code

	typeSettings = 0x4
	typeGoAway   = 0x7
	flagAck      = 0x1

	idMaxStreams = 0x3

	maxDebug = 64
)

// hear takes in the next bytes of the connection, and tells h.
func (f *frames) hear(p []byte, h hearer) {
	for len(p) > 0 {
		switch f.part {
		case inHeader:
			var header []byte
			if header, p = f.take(p, frameHeaderLen); header != nil {
				f.begin(header, h)
			}
		case inPayload:
			p = f.pass(p)
		case inSettings:
			var setting []byte
			if setting, p = f.take(p, settingLen); setting != nil {
				f.setting(setting, h)
			}
		case inGoAway:
			var fixed []byte
			if fixed, p = f.take(p, goAwayLen); fixed != nil {
				f.code = binary.BigEndian.Uint32(fixed[4:])
				f.left -= goAwayLen
				f.part = inDebug
				f.endGoAway(h)
			}
		case inDebug:
			n := min(len(p), int(f.left), maxDebug-len(f.debug))
			f.debug = append(f.debug, p[:n]...)
			p = f.pass(p)
			f.endGoAway(h)
		default:
			return
		}
	}
}

// take returns the next n bytes, which may have come in pieces, or nil if some
// are missing, and what of p is after them.
func (f *frames) take(p []byte, n int) (whole, rest []byte) {
	if f.have == 0 && len(p) >= n {
		return p[:n], p[n:]
	}
	m := copy(f.buf[f.have:n], p)
	f.have += uint8(m)
	if int(f.have) < n {
		return nil, nil
	}
	f.have = 0
	return f.buf[:n], p[m:]
}

// pass goes over what of the payload is in p.
func (f *frames) pass(p []byte) (rest []byte) {
	n := min(len(p), int(f.left))
	f.left -= uint32(n)
	if f.left == 0 && f.part == inPayload {
		f.part = inHeader
	}
	return p[n:]
}

// begin looks at the header of a frame.
func (f *frames) begin(header []byte, h hearer) {
	f.left = uint32(header[0])<<16 | uint32(header[1])<<8 | uint32(header[2])
	kind, ack := header[3], header[4]&flagAck != 0
	stream := binary.BigEndian.Uint32(header[5:]) &^ (1 << 31)
	settings := kind == typeSettings && stream == 0 && !ack && f.left%settingLen == 0
	switch {
	case settings:
		f.part, f.limited = inSettings, false
		f.endSettings(h)
	case !f.begun:
		f.part = lost // a server begins with SETTINGS (section 3.4)
	case kind == typeSettings:
		f.part = inHeader
		if stream != 0 || f.left != 0 {
			f.part = lost
		}
	case kind == typeGoAway:
		f.part, f.debug = inGoAway, nil
		if stream != 0 || f.left < goAwayLen {
			f.part = lost
		}
	case f.left > 0:
		f.part = inPayload
	}
}

// setting looks at one entry of a SETTINGS frame.
func (f *frames) setting(p []byte, h hearer) {
	if binary.BigEndian.Uint16(p) == idMaxStreams {
		f.limited, f.named = true, binary.BigEndian.Uint32(p[2:])
	}
	f.left -= settingLen
	f.endSettings(h)
}

// endSettings tells of the limit if the SETTINGS frame has come to its end.
func (f *frames) endSettings(h hearer) {
	if f.left > 0 {
		return
	}
	f.part = inHeader
	limit := f.limit
	switch {
	case f.limited:
		limit = f.named
	case !f.begun:
		limit = math.MaxUint32
	}
	if f.begun && limit == f.limit {
		return
	}
	f.begun, f.limit = true, limit
	h.settings(limit)
}

// endGoAway tells of the GOAWAY frame if it has come to its end.
func (f *frames) endGoAway(h hearer) {
	if f.left > 0 {
		return
	}
	f.part = inHeader
	h.goAway(f.code, string(f.debug))
	f.debug = nil
}
