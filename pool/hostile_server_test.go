package pool

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A hostileServer attacks whoever connects, until it is told to behave.
type hostileServer struct {
	url  string
	base *http.Transport

	attack func(*prey)
	tls    *tls.Config // nil: plaintext
	h2     bool
	behave atomic.Bool

	l        net.Listener
	honest   chan net.Conn // for a server of Go's own
	wg       sync.WaitGroup
	mu       sync.Mutex
	attacked map[net.Conn]struct{}
}

// A prey is a connection that is attacked.
type prey struct {
	net.Conn
	r *bufio.Reader
}

// send writes, and reports whether the prey is still there.
func (v *prey) send(b ...byte) bool {
	_, err := v.Write(b)
	return err == nil
}

func (v *prey) say(s string) bool { return v.send([]byte(s)...) }

// flood says the same until the prey has gone.
func (v *prey) flood(s string) {
	// Many at a time: one by one, the server would be slower than the client.
	many := []byte(strings.Repeat(s, max(1, 16<<10/len(s))))
	for v.send(many...) {
	}
}

// newHostileServer starts a server of the protocol that attacks.
func newHostileServer(t *testing.T, proto string, attack func(*prey)) *hostileServer {
	t.Helper()
	s := &hostileServer{attack: attack, h2: strings.HasPrefix(proto, "h2"), honest: make(chan net.Conn), attacked: map[net.Conn]struct{}{}}
	s.base = http.DefaultTransport.(*http.Transport).Clone()
	s.base.Protocols = speaking(proto)
	s.base.TLSClientConfig = insecure.Clone()
	s.base.MaxResponseHeaderBytes = 1 << 20
	var err error
	if s.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + s.l.Addr().String()
	srv := &http.Server{Handler: hello, Protocols: speaking(proto), ErrorLog: quiet}
	if proto == "https" || proto == "h2" {
		s.url = "https://" + s.l.Addr().String()
		some := httptest.NewUnstartedServer(nil)
		some.StartTLS()
		s.tls = some.TLS.Clone()
		some.Close()
		srv.TLSConfig = s.tls.Clone()
		srv.TLSConfig.NextProtos = nil
		s.tls.NextProtos = []string{map[string]string{"https": "http/1.1", "h2": "h2"}[proto]}
		s.wg.Go(func() { srv.ServeTLS((*honestListener)(s), "", "") })
	} else {
		s.wg.Go(func() { srv.Serve((*honestListener)(s)) })
	}
	s.wg.Go(s.accept)
	t.Cleanup(func() {
		s.l.Close()
		s.release()
		srv.Close()
		s.wg.Wait()
	})
	return s
}

func (s *hostileServer) accept() {
	defer close(s.honest)
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		if s.behave.Load() {
			s.honest <- c
			continue
		}
		s.mu.Lock()
		s.attacked[c] = struct{}{}
		s.mu.Unlock()
		s.wg.Go(func() {
			defer c.Close()
			c.SetDeadline(time.Now().Add(30 * time.Second))
			s.meet(c)
		})
	}
}

// meet does what an honest server does first, and then attacks.
func (s *hostileServer) meet(c net.Conn) {
	if s.tls != nil {
		c = tls.Server(c, s.tls)
	}
	v := &prey{c, bufio.NewReader(c)}
	if !s.h2 {
		if _, err := http.ReadRequest(v.r); err == nil {
			s.attack(v)
		}
		return
	}
	if _, err := v.r.Discard(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")); err == nil {
		s.attack(v)
	}
}

// release ends all attacks, and has the server behave from now on.
func (s *hostileServer) release() {
	s.behave.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.attacked {
		c.Close()
	}
}

// An honestListener passes on the connections that are not attacked.
type honestListener hostileServer

func (l *honestListener) Accept() (net.Conn, error) {
	if c, ok := <-l.honest; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l *honestListener) Close() error   { return nil }
func (l *honestListener) Addr() net.Addr { return l.l.Addr() }

// frameBytes returns an HTTP/2 frame.
func frameBytes(kind, flags byte, stream uint32, payload string) string {
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags,
		byte(stream >> 24), byte(stream >> 16), byte(stream >> 8), byte(stream)}) + payload
}

// Frames that only an attack has.
const (
	framePriority     = 0x2
	framePush         = 0x5
	frameWindow       = 0x8
	frameContinuation = 0x9
)

// opening is what an HTTP/2 server begins with: SETTINGS, and the acknowledgement
// of the client's.
var opening = frameBytes(frameSettings, 0, 0, "") + frameBytes(frameSettings, 1, 0, "")

// status200 is a header block of ":status: 200".
const status200 = "\x88"

// awaitRequest reads frames until the client has sent HEADERS.
func (v *prey) awaitRequest() bool {
	for {
		var head [9]byte
		if _, err := io.ReadFull(v.r, head[:]); err != nil {
			return false
		}
		if _, err := v.r.Discard(int(head[0])<<16 | int(head[1])<<8 | int(head[2])); err != nil {
			return false
		}
		if head[3] == frameHeaders {
			return true
		}
	}
}

// readOn reads what comes, and throws it away.
func (v *prey) readOn() { go io.Copy(io.Discard, v.r) }
