package pool

import (
	"encoding/binary"
	"io"
	"net"
)

// A rawHTTP2 is a server's side of an HTTP/2 connection, frame by frame: it can
// say what no server would. It speaks and listens in turn, where a frameConn
// does both at once.
type rawHTTP2 struct {
	net.Conn
	frames chan frame // what the client has said; closed at its end
}

// newRawHTTP2 takes the client's preface and sends the server's.
func newRawHTTP2(c net.Conn) (*rawHTTP2, error) {
	s := &rawHTTP2{c, make(chan frame, 1000)}
	if _, err := io.ReadFull(c, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
		return nil, err
	}
	go s.readFrames()
	return s, s.write(frameSettings, 0, 0, nil)
}

// readFrames reads on while the server writes, so that both may write at once.
func (s *rawHTTP2) readFrames() {
	defer close(s.frames)
	for {
		var head [9]byte
		if _, err := io.ReadFull(s, head[:]); err != nil {
			return
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(s, payload); err != nil {
			return
		}
		s.frames <- frame{head[3], head[4], binary.BigEndian.Uint32(head[5:]) &^ (1 << 31), payload}
	}
}

func (s *rawHTTP2) write(kind, flags byte, stream uint32, payload []byte) error {
	head := [9]byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	binary.BigEndian.PutUint32(head[5:], stream)
	_, err := s.Write(append(head[:], payload...))
	return err
}

// request waits for the next request to be complete, and returns its stream. It
// returns 0 at the end.
func (s *rawHTTP2) request() uint32 {
	for f := range s.frames {
		switch {
		case f.kind == frameSettings && f.flags&flagAck == 0:
			s.write(frameSettings, flagAck, 0, nil)
		case f.kind == framePing && f.flags&flagAck == 0:
			s.write(framePing, flagAck, 0, f.payload)
		case (f.kind == frameHeaders || f.kind == frameData) && f.flags&flagEndStream != 0:
			return f.stream
		}
	}
	return 0
}

// ok answers a request with status 200 and no body.
func (s *rawHTTP2) ok(stream uint32) { s.headers(stream, flagEndStream, 0x88) }

// headers sends a field block, in HPACK.
func (s *rawHTTP2) headers(stream uint32, flags byte, block ...byte) {
	s.write(frameHeaders, flags|flagEndHeaders, stream, block)
}

func (s *rawHTTP2) reset(stream, code uint32) {
	s.write(frameReset, 0, stream, binary.BigEndian.AppendUint32(nil, code))
}

func (s *rawHTTP2) goAway(last, code uint32) {
	s.write(frameGoAway, 0, 0, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, last), code))
}
