package netlab

import (
	"bufio"
	"io"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/sockdiag"
)

// eachProgram runs a test beside each program, in a lab for each.
func eachProgram(t *testing.T, cfg Config, f func(*testing.T, *Lab, *Server)) {
	for _, p := range Programs() {
		t.Run(p.Name, func(t *testing.T) {
			Run(t, func(lab *Lab) { f(t, lab, lab.Start(t, p, cfg)) })
		})
	}
}

func TestProgramsAnswer(t *testing.T) {
	eachProgram(t, Config{}, func(t *testing.T, lab *Lab, srv *Server) {
		for _, e := range srv.endpoints() {
			t.Log(e.name)
			c := e.client(t)
			if n := e.get(t, c, "/"); n == 0 || n > 100 {
				t.Errorf("%s: / has %d bytes", e.name, n)
			}
			if n := e.get(t, c, "/64k"); n != FileSize {
				t.Errorf("%s: /64k has %d bytes", e.name, n)
			}
			if s := lab.States(t, e.addr); s.Client.By[sockdiag.Established] != 1 {
				t.Errorf("%s: two requests took not one connection: %v", e.name, s)
			}
			c.CloseIdleConnections()
			lab.Settle(t, e.addr, settle)
		}
	})
}

// What the lab starts must not reach into the test that comes next.
func TestStopLeavesNothing(t *testing.T) {
	for _, p := range Programs() {
		t.Run(p.Name, func(t *testing.T) {
			Run(t, func(lab *Lab) {
				check := Leaks(t)
				srv := lab.Start(t, p, Config{})
				for _, e := range srv.endpoints() {
					e.get(t, e.client(t), "/")
				}
				srv.Stop()
				if n := processSockets(t, sockdiag.Listen.Mask()); n != 0 {
					t.Errorf("%d listeners are left", n)
				}
				// The stock clients close what the server has closed.
				Eventually(t, settle, "no process holds a socket", func() bool {
					return processSockets(t, sockdiag.AllStates) == 0
				})
				check()
			})
		})
	}
}

// processSockets counts the sockets in the namespace that a process holds open.
func processSockets(t *testing.T, states uint32) int {
	t.Helper()
	n := 0
	each(t, states, func(s sockdiag.Socket) {
		if s.Inode != 0 {
			n++
		}
	})
	return n
}

// Who closes first pays, and the lab must see who that is.
func TestServerClosesFirst(t *testing.T) {
	const conns = 8
	eachProgram(t, Config{KeepAlive: time.Second}, func(t *testing.T, lab *Lab, srv *Server) {
		if !srv.Plain.IsValid() {
			hasSaidGoodbye(t, srv.H2C)
			wantTimeWaits(t, lab, srv.H2C, 0, 1)
			return
		}
		e := srv.endpoints()[0]
		e.open(t, e.client(t), conns)
		wantTimeWaits(t, lab, e.addr, 0, conns)
	})
}

// h2Goodbye is HTTP/2's preface, a SETTINGS frame, and a GOAWAY.
const h2Goodbye = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
	"\x00\x00\x00\x04\x00\x00\x00\x00\x00" +
	"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// hasSaidGoodbye makes an HTTP/2 server close a connection first.
func hasSaidGoodbye(t *testing.T, addr netip.AddrPort) {
	t.Helper()
	conn := dial(t, addr)
	io.WriteString(conn, h2Goodbye)
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("the server's goodbye: %v", err)
	}
	conn.Close()
}

func TestClientClosesFirst(t *testing.T) {
	const conns = 16
	eachProgram(t, Config{}, func(t *testing.T, lab *Lab, srv *Server) {
		if !srv.Plain.IsValid() {
			t.Skip("it speaks no HTTP/1.1")
		}
		e := srv.endpoints()[0]
		c := e.client(t)
		e.open(t, c, conns)
		c.CloseIdleConnections()
		wantTimeWaits(t, lab, e.addr, conns, 0)
	})
}

// A pool pings with OPTIONS *, and what a server answers to it is its business.
func TestProgramsAnswerOptions(t *testing.T) {
	eachProgram(t, Config{}, func(t *testing.T, lab *Lab, srv *Server) {
		if !srv.Plain.IsValid() {
			t.Skip("it speaks no HTTP/1.1")
		}
		conn := dial(t, srv.Plain)
		io.WriteString(conn, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodOptions})
		if err != nil {
			t.Fatal(err)
		}
		t.Log("OPTIONS *:", resp.Status)
	})
}
