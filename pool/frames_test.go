package pool

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// A frame is one of HTTP/2 (RFC 9113 section 4.1), of the kinds that follow.
type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

const (
	frameData     = 0x0
	frameHeaders  = 0x1
	frameReset    = 0x3
	frameSettings = 0x4
	framePing     = 0x6
	frameGoAway   = 0x7

	flagAck        = 0x1
	flagEndStream  = 0x1
	flagEndHeaders = 0x4
)

// Error codes (RFC 9113 section 7).
const (
	codeNo       = 0x0
	codeInternal = 0x2
	codeCancel   = 0x8
	codeCalm     = 0xb
)

// A frameConn is the server's side of an HTTP/2 connection, for servers that do
// what no real one can be made to.
type frameConn struct {
	net.Conn
	n   int         // the server's n-th connection, from 0
	out chan []byte // what is to be written
}

func (c *frameConn) write(kind, flags byte, stream uint32, payload ...byte) {
	b := make([]byte, 9, 9+len(payload))
	binary.BigEndian.PutUint32(b, uint32(len(payload))<<8|uint32(kind))
	b[4] = flags
	binary.BigEndian.PutUint32(b[5:], stream)
	c.out <- append(b, payload...)
}

// limit says how many streams the client may have open.
func (c *frameConn) limit(n uint32) {
	c.write(frameSettings, 0, 0, binary.BigEndian.AppendUint32([]byte{0, 3}, n)...)
}

// answer ends the stream with a response of status 200.
func (c *frameConn) answer(stream uint32, body string) {
	c.write(frameHeaders, flagEndHeaders, stream, 0x88)
	c.write(frameData, flagEndStream, stream, []byte(body)...)
}

func (c *frameConn) reset(stream, code uint32) {
	c.write(frameReset, 0, stream, binary.BigEndian.AppendUint32(nil, code)...)
}

func (c *frameConn) goAway(last, code uint32) {
	c.write(frameGoAway, 0, 0, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, last), code)...)
}

// acknowledge answers what the protocol has an answer for.
func (c *frameConn) acknowledge(f frame) {
	if (f.kind == frameSettings || f.kind == framePing) && f.flags&flagAck == 0 {
		p := f.payload
		if f.kind == frameSettings {
			p = nil
		}
		c.write(f.kind, flagAck, 0, p...)
	}
}

// hangUp closes the connection when everything is written.
func (c *frameConn) hangUp() { c.out <- nil }

// A frameServer is told of each connection, and must begin it with SETTINGS;
// and of each frame that comes on it.
type frameServer struct {
	open  func(c *frameConn)
	frame func(c *frameConn, f frame)
	deaf  bool // it answers no PING
}

// serve serves the listener's connections until it is closed, and they are.
func (s frameServer) serve(l net.Listener) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for n := 0; ; n++ {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		// A queue, since a client may read no more until it has written.
		c := &frameConn{Conn: nc, n: n, out: make(chan []byte, 10_000)}
		read := make(chan struct{})
		wg.Go(func() {
			defer nc.Close()
			for {
				select {
				case b := <-c.out:
					if b == nil {
						return
					}
					nc.Write(b)
				case <-read:
					return
				}
			}
		})
		wg.Go(func() {
			defer close(read)
			s.read(c)
		})
	}
}

func (s frameServer) read(c *frameConn) {
	r := bufio.NewReader(c)
	if _, err := io.ReadFull(r, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
		return
	}
	s.open(c)
	for {
		var h [9]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return
		}
		f := frame{kind: h[3], flags: h[4], stream: binary.BigEndian.Uint32(h[5:])}
		f.payload = make([]byte, binary.BigEndian.Uint32(h[:])>>8)
		if _, err := io.ReadFull(r, f.payload); err != nil {
			return
		}
		if f.kind != framePing || !s.deaf {
			c.acknowledge(f)
		}
		s.frame(c, f)
	}
}

// start serves on a port of its own until the test is over. It returns the URL
// and a Base for it.
func (s frameServer) start(t testing.TB) (url string, base *http.Transport) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { s.serve(l) })
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return "http://" + l.Addr().String(), &http.Transport{Protocols: speaking("h2c"), IdleConnTimeout: time.Minute}
}

// ends reports whether the frame is the last of a request.
func (f frame) ends() bool {
	return (f.kind == frameHeaders || f.kind == frameData) && f.flags&flagEndStream != 0
}
