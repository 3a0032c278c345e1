package pool

import (
	"bufio"
	"context"
	"io"

	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/sockdiag"
	"github.com/lastack/lastack/linger"
)

var (
	http1  = []string{"http", "https"}
	plain1 = []string{"http"}
)

// shortWait is a Policy for peers that never close.
var shortWait = &linger.Policy{Wait: 300 * time.Millisecond}

// TestKernelOwnEndings: the ways in which the pool itself, or its user, ends
// connections at rest.
func TestKernelOwnEndings(t *testing.T) {
	playAll(t, []scene{{
		name: "bursts of 64", stock: true,
		play: func(s *stage) {
			for range 5 {
				var wg sync.WaitGroup
				for i := range 64 {
					wg.Go(func() { s.do(s.t.Context(), i, "/bytes?100", nil) })
				}
				wg.Wait()
			}
			s.open() // and as many as every scene has
		},
	}, {
		name: "idle expiry",
		tune: func(s *stage) {
			s.pool.IdleTimeout = 300 * time.Millisecond
			s.stock.IdleConnTimeout = 300 * time.Millisecond
		},
		play: func(s *stage) { s.open(); s.awaitEnd() },
	}, {
		name: "CloseIdleConnections",
		play: func(s *stage) { s.open(); s.closeIdle(); s.awaitEnd() },
	}, {
		name: "Shutdown",
		play: func(s *stage) { s.open() },
	}, {
		name: "MaxAge",
		tune: func(s *stage) { s.pool.MaxAge = 400 * time.Millisecond },
		play: func(s *stage) {
			s.open()
			if !s.ours {
				s.closeIdle() // it has no such setting
			}
			s.awaitEnd()
		},
	}, {
		name: "MaxRequests",
		tune: func(s *stage) { s.pool.MaxRequests = 1; s.stock.DisableKeepAlives = true },
		play: func(s *stage) { s.open(); s.awaitEnd() },
	}, {
		name: "keep-alives disabled",
		tune: func(s *stage) { s.base.DisableKeepAlives = true; s.stock.DisableKeepAlives = true },
		play: func(s *stage) { s.open(); s.awaitEnd() },
	}, {
		name: "idle limit of two", stock: true,
		tune: func(s *stage) { s.pool.MaxIdlePerHost = 2 },
		play: func(s *stage) { s.open() },
	}})
}

// TestKernelServerEndings: the ways in which a server ends connections, well or
// badly.
func TestKernelServerEndings(t *testing.T) {
	closing := func(wait func(c net.Conn, r *bufio.Reader)) func(*stage) {
		return rawServer(func(c net.Conn, r *bufio.Reader) {
			answer(c, r, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close")
			wait(c, r)
		})
	}
	untilEOF := func(c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) }
	playAll(t, []scene{{
		name: "Connection close, FIN at once", protos: http1,
		server: closing(func(net.Conn, *bufio.Reader) {}),
		play:   (*stage).open,
	}, {
		name: "Connection close, FIN 50 ms late", protos: http1,
		server: closing(func(net.Conn, *bufio.Reader) { <-time.After(50 * time.Millisecond) }),
		play:   (*stage).open,
	}, {
		name: "Connection close, FIN never", protos: http1, policy: shortWait,
		server: closing(untilEOF),
		play:   (*stage).open,
	}, {
		name: "HTTP 1.0", protos: http1,
		server: rawServer(func(c net.Conn, r *bufio.Reader) {
			answer(c, r, "HTTP/1.0 200 OK\r\nContent-Length: 5")
		}),
		play: (*stage).open,
	}, {
		name: "HTTP 1.0, length by end of file", protos: http1,
		server: rawServer(func(c net.Conn, r *bufio.Reader) { answer(c, r, "HTTP/1.0 200 OK") }),
		play:   (*stage).open,
	}, {
		name: "server dies in mid-response", protos: http1,
		server: rawServer(func(c net.Conn, r *bufio.Reader) {
			answer(c, r, "HTTP/1.1 200 OK\r\nContent-Length: 500")
		}),
		play: func(s *stage) { s.each("/", nil, errAny) },
	}, {
		name: "server resets in mid-response", protos: plain1,
		server: rawServer(func(c net.Conn, r *bufio.Reader) {
			answer(c, r, "HTTP/1.1 200 OK\r\nContent-Length: 500")
			c.(*net.TCPConn).SetLinger(0)
		}),
		play: func(s *stage) { s.each("/", nil, errAny) },
	}, {
		name: "aborted handler",
		play: func(s *stage) { s.gate.expect(ringConns); s.each("/half", nil, errAny); s.gate.expect(0) },
	}, {
		name: "server's idle timeout", server: goServer(func(srv *http.Server) {
			srv.IdleTimeout = 300 * time.Millisecond
		}),
		play: func(s *stage) { s.open(); s.awaitEnd() },
	}, {
		name: "garbage", protos: http1,
		server: rawServer(func(c net.Conn, r *bufio.Reader) {
			http.ReadRequest(r)
			io.WriteString(c, "this is no HTTP\r\n\r\n")
			untilEOF(c, r)
		}),
		play: func(s *stage) { s.each("/", nil, errAny) },
	}})
}

// TestKernelAbandoned: the ways in which a caller loses interest.
func TestKernelAbandoned(t *testing.T) {
	unread := func(*http.Response) {}
	// cancelled cancels all requests together, 100 ms after the last was sent.
	cancelled := func(path string) func(*stage) {
		return func(s *stage) {
			ctx, cancel := context.WithCancel(s.t.Context())
			defer cancel()
			var sent atomic.Int32
			ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
				WroteRequest: func(httptrace.WroteRequestInfo) {
					if sent.Add(1) == ringConns {
						time.AfterFunc(100*time.Millisecond, cancel)
					}
				},
			})
			var wg sync.WaitGroup
			for i := range ringConns {
				wg.Go(func() {
					if err := s.do(ctx, i, path, func(r *http.Response) {
						if _, err := io.Copy(io.Discard, r.Body); err != context.Canceled {
							s.t.Errorf("ours %t: reading ended with %v", s.ours, err)
						}
					}); err != nil && err != context.Canceled {
						s.t.Errorf("ours %t: %v", s.ours, err)
					}
				})
			}
			wg.Wait()
		}
	}
	gated := func(play func(*stage)) func(*stage) {
		return func(s *stage) {
			s.gate.expect(ringConns)
			play(s)
			s.gate.expect(0)
		}
	}
	playAll(t, []scene{{
		name: "2 bytes unread",
		play: gated(func(s *stage) { s.each("/bytes?2", unread) }),
	}, {
		name: "64 KiB unread",
		play: gated(func(s *stage) { s.each("/bytes?65536", unread) }),
	}, {
		name: "endless unread",
		play: func(s *stage) { s.each("/endless", unread) },
	}, {
		name: "cancelled before the response",
		play: cancelled("/silent"),
	}, {
		name: "cancelled in mid-body",
		play: cancelled("/endless"),
	}, {
		name: "cancelled, silent server", protos: http1,
		server: rawServer(func(c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) }),
		play:   cancelled("/"),
	}, {
		name: "ResponseHeaderTimeout",
		tune: func(s *stage) {
			s.base.ResponseHeaderTimeout = 200 * time.Millisecond
			s.stock.ResponseHeaderTimeout = 200 * time.Millisecond
		},
		play: func(s *stage) {
			s.each("/silent", nil, errAny)
			s.closeIdle()
		},
	}})
}

// closeIdle closes what rests.
func (s *stage) closeIdle() {
	if s.ours {
		s.pool.CloseIdleConnections()
		return
	}
	s.stock.CloseIdleConnections()
}

// awaitEnd waits until no connection to the server is open.
func (s *stage) awaitEnd() {
	s.t.Helper()
	netlab.Eventually(s.t, 30*time.Second, "the connections end", func() bool {
		return s.lab.States(s.t, s.addr).Client.By[sockdiag.Established] == 0
	})
}
