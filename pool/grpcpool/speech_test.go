package grpcpool

import (
	"context"
	"crypto/tls"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
)

// frame returns an HTTP/2 frame.
func frame(kind byte, payload string) string {
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, 0, 0, 0, 0, 1}) + payload
}

const (
	frameSettings = 0x4
	framePing     = 0x6
	frameGoAway   = 0x7
)

// goodbye is the GOAWAY of a transport that closes.
var goodbye = frame(frameGoAway, "\x00\x00\x00\x01\x00\x00\x00\x00"+string(lastWords))

func TestSpeech(t *testing.T) {
	greeting := string(preface) + frame(frameSettings, "\x00\x03\x00\x00\x00\x01") + frame(frameSettings, "")
	for name, test := range map[string]struct {
		said string
		want word
	}{
		"nothing":                {"", unused},
		"half a preface":         {string(preface[:10]), used}, // nobody writes that, so it is somebody else's protocol
		"preface":                {string(preface), unused},
		"greeting":               {greeting, unused},
		"ping":                   {greeting + frame(framePing, "\x01\x01\x01\x01\x01\x01\x01\x01"), unused},
		"headers":                {greeting + frame(frameHeaders, "x"), used},
		"headers begin":          {greeting + frame(frameHeaders, "x")[:4], unused}, // the peer cannot have understood
		"headers and more":       {greeting + frame(frameHeaders, "x") + frame(framePing, "12345678"), used},
		"payload like a header":  {greeting + frame(framePing, frame(frameHeaders, "")[:8]), unused},
		"goaway, no call":        {greeting + goodbye, unused},
		"another protocol":       {"HELLO\r\n", used},
		"another protocol, zero": {"\x00\x00\x00\x01", used},
	} {
		var s speech
		s.hear([]byte(test.said))
		if s.last() != test.want {
			t.Errorf("%s: %d, want %d", name, s.last(), test.want)
		}
	}
}

// TestSpeechGoAway: the last words count when they are the last.
func TestSpeechGoAway(t *testing.T) {
	if len(goodbye) != goodbyeLen {
		t.Errorf("the frame has %d bytes, want %d", len(goodbye), goodbyeLen)
	}
	var s speech
	for i, step := range []struct {
		said string
		want word
	}{
		{string(preface) + frame(frameSettings, ""), unused},
		{frame(frameHeaders, "x"), used},
		{frame(framePing, "12345678") + goodbye, goAway},
		{frame(framePing, "12345678"), used},
		{goodbye, goAway},
	} {
		s.hear([]byte(step.said))
		if s.last() != step.want {
			t.Errorf("step %d: %d, want %d", i, s.last(), step.want)
		}
	}
}

// TestGrpcSaysGoodbye: a transport of grpc-go ends with the words that are known.
func TestGrpcSaysGoodbye(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	serve(t, l)
	var c *conn
	dial := newDialing(nil)
	if err := call(t, nil, l.Addr().String(), grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		nc, err := dial.dial(ctx, address)
		c, _ = nc.(*conn)
		return nc, err
	})); err != nil {
		t.Fatal(err)
	}
	if c.said.last() != goAway {
		t.Errorf("%d, want goAway", c.said.last())
	}
}

// FuzzSpeech: it does not matter how what is said is cut up after the preface,
// and a call that was sent is never overheard.
func FuzzSpeech(f *testing.F) {
	f.Add(frame(frameSettings, "")+frame(frameHeaders, "x"), []byte{3, 1, 9})
	f.Add(frame(framePing, "12345678"), []byte{1})
	f.Fuzz(func(t *testing.T, said string, cuts []byte) {
		if strings.Contains(said, string(lastWords)) {
			t.Skip("the last words count by where a write ends")
		}
		var whole, parts speech
		whole.hear([]byte(string(preface) + said))
		parts.hear(preface)
		rest := []byte(said)
		for _, n := range cuts {
			cut := min(int(n), len(rest))
			parts.hear(rest[:cut])
			rest = rest[cut:]
		}
		parts.hear(rest)
		if whole.last() != parts.last() {
			t.Errorf("in one piece: %d, in parts: %d", whole.last(), parts.last())
		}
		called := false
		for rest := []byte(said); len(rest) >= frameHeaderLen && !called; {
			called = rest[3] == frameHeaders
			n := frameHeaderLen + (int(rest[0])<<16 | int(rest[1])<<8 | int(rest[2]))
			rest = rest[min(n, len(rest)):]
		}
		if got := whole.last() == used; got != called {
			t.Errorf("used: %v, want %v", got, called)
		}
	})
}

// A recorder is a connection that hears what is written.
type recorder struct {
	net.Conn
	speech
}

func (r *recorder) Write(p []byte) (int, error) {
	r.hear(p)
	return r.Conn.Write(p)
}

// TestSpeechTLS: what crypto/tls writes, in both versions of the protocol.
func TestSpeechTLS(t *testing.T) {
	some := httptest.NewTLSServer(nil)
	defer some.Close()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			a, b := net.Pipe()
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() {
				c := tls.Server(b, &tls.Config{Certificates: some.TLS.Certificates, SessionTicketsDisabled: true})
				defer b.Close()
				buf := make([]byte, 100)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
				}
			})
			r := &recorder{Conn: a}
			c := tls.Client(r, &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			if r.last() != unused {
				t.Errorf("after the handshake: %d, want unused", r.last())
			}
			c.Write([]byte("hello"))
			if r.last() != used {
				t.Errorf("after a write: %d, want used", r.last())
			}
			c.Close()
			if r.last() != closeNotify {
				t.Errorf("after Close: %d, want closeNotify", r.last())
			}
		})
	}
}
