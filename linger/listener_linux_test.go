package linger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
)

// servings is how many connections end in each scene of a server.
const servings = 200 / slow

// A serving is one way in which net/http's server ends its connections. Each
// client sends the request on a connection of its own, reads to the end of
// file, and closes.
type serving struct {
	name    string
	prepare func(*http.Server)
	handler http.HandlerFunc
	request string
	want    string // is how the response ends
	idle    bool   // the server is shut down when all have been served
	cut     bool   // Shutdown waits in vain for the handlers, and Close ends them
	resets  bool   // the client may be reset instead, as from any server
}

const (
	get     = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	hello   = "hello"
	bigBody = 64 << 10
)

func sayHello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, hello) }

var servingScenes = []serving{{
	name:    "idle timeout",
	prepare: func(srv *http.Server) { srv.IdleTimeout = 50 * time.Millisecond },
	handler: sayHello,
	request: get, want: hello,
}, {
	name:    "Shutdown",
	handler: sayHello,
	request: get, want: hello,
	idle: true,
}, {
	name:    "Shutdown in vain, then Close",
	request: get, want: hello + "\r\n", // in a chunk that is not the last
	cut: true,
}, {
	name: "the server says Connection: close",
	handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		sayHello(w, r)
	},
	request: get, want: hello,
}, {
	name:    "the client says Connection: close",
	handler: sayHello,
	request: "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", want: hello,
}, {
	name:    "the end of file ends the response",
	handler: func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, strings.Repeat(hello, 2000)) },
	request: "GET / HTTP/1.0\r\n\r\n", want: strings.Repeat(hello, 2000),
}, {
	name:    "the handler panics",
	handler: func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
	request: get,
}, {
	name:    "ReadHeaderTimeout",
	prepare: func(srv *http.Server) { srv.ReadHeaderTimeout = 50 * time.Millisecond },
	request: "GET / HTTP/1.1\r\n",
}, {
	name:    "bad request",
	request: "GET\r\n\r\n", want: "400 Bad Request",
}, {
	name:    "oversized header",
	prepare: func(srv *http.Server) { srv.MaxHeaderBytes = 1 << 10 },
	request: "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", bigBody) + "\r\n\r\n",
	want:    "431 Request Header Fields Too Large",
	resets:  true,
}, {
	name: "the request is not read",
	handler: func(w http.ResponseWriter, r *http.Request) {
		http.MaxBytesReader(w, r.Body, 10).Read(make([]byte, 100))
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		io.WriteString(w, hello)
	},
	request: fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 8*bigBody) + strings.Repeat("x", 8*bigBody),
	want:    hello,
	resets:  true,
}}

// TestKernelServing: net/http's server leaves no TIME_WAIT and its clients lose
// nothing, however it ends its connections.
func TestKernelServing(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		t.Run("all", func(t *testing.T) { // at a time: some of it is waiting
			for _, s := range servingScenes {
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					stock, _ := s.hold(t, lab, nil)
					served, endings := s.hold(t, lab, new(Closer))
					t.Logf("TIME_WAITs of a server with %d connections: %d stock, %d here; %v", servings, stock, served, endings)
					if served != 0 {
						t.Errorf("the server keeps %d TIME_WAITs", served)
					}
				})
			}
		})
	})
}

// hold has the scene with a server behind the closer's listener, or without one,
// and returns the TIME_WAITs that the server keeps.
func (s serving) hold(t *testing.T, lab *netlab.Lab, closer *Closer) (timeWaits int, by map[Ending]int) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(l.Addr().String())
	got := new(endings)
	if closer != nil {
		closer.Ended = got.add
		l = closer.Listener(l)
	}
	var idle, resets atomic.Int64
	srv := &http.Server{
		Handler:  s.handler,
		ErrorLog: log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateIdle {
				idle.Add(1)
			}
		},
	}
	if s.prepare != nil {
		s.prepare(srv)
	}
	if s.cut {
		srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sayHello(w, r)
			http.NewResponseController(w).Flush()
			idle.Add(1) // for as long as the server is there
			<-r.Context().Done()
		})
	}
	var all sync.WaitGroup
	all.Go(func() { srv.Serve(l) })
	var clients sync.WaitGroup
	for range servings {
		clients.Go(func() {
			switch err := s.ask(addr.String()); {
			case err == nil:
			case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
				resets.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	if s.idle || s.cut {
		netlab.Eventually(t, 20*time.Second, "all are idle", func() bool { return idle.Load() == servings })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if s.cut {
			cancel()
		}
		if srv.Shutdown(ctx) != nil {
			srv.Close()
		}
	}
	clients.Wait()
	srv.Shutdown(t.Context())
	all.Wait()
	if closer != nil {
		if err := closer.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	lab.Settle(t, addr, 10*time.Second)
	if n := resets.Load(); n > 0 {
		if t.Logf("%d of %d clients were reset", n, servings); closer != nil && !s.resets {
			t.Fail()
		}
	}
	server := lab.States(t, addr).Server
	return server.TimeWaits() + server.MiniFinWait2, got.count()
}

// ask is one client. It returns nil if it had the whole response and a clean
// end.
func (s serving) ask(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, s.request); err != nil {
		return err
	}
	response, err := io.ReadAll(c)
	if err == nil && !strings.HasSuffix(string(response), s.want) {
		err = fmt.Errorf("%d bytes came that do not end in %.20q", len(response), s.want)
	}
	return err
}

func (e *endings) count() map[Ending]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := make(map[Ending]int)
	for _, x := range e.all {
		n[x]++
	}
	return maps.Clone(n)
}
