package linger_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
)

// A rudeness is a client that does not close when it has been told goodbye. It
// returns when it has read its response, and what is wrong with that; the rest
// goes on until the server has ended the connection.
type rudeness struct {
	name string
	tune func(*http.Server)
	be   func(h *host, c *net.TCPConn, i int) error
}

var rudenesses = []rudeness{{
	name: "never closes",
	be: func(h *host, c *net.TCPConn, i int) error {
		return askRaw(h, c, i)
	},
}, {
	name: "never closes, nor is it told anything",
	tune: func(srv *http.Server) { srv.IdleTimeout = 100 * time.Millisecond },
	be: func(h *host, c *net.TCPConn, i int) error {
		return askRaw(h, c, i)
	},
}, {
	name: "floods",
	be: func(h *host, c *net.TCPConn, i int) error {
		if err := askRaw(h, c, i); err != nil {
			return err
		}
		flood := bytes.Repeat([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 1000)
		c.SetWriteDeadline(time.Now().Add(patience))
		for {
			if _, err := c.Write(flood); err != nil {
				if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
					return fmt.Errorf("the flood is still taken: %w", err)
				}
				return nil
			}
		}
	},
}, {
	name: "half-closes, and reads",
	be: func(h *host, c *net.TCPConn, i int) error {
		if _, err := fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i); err != nil {
			return err
		}
		if err := c.CloseWrite(); err != nil {
			return err
		}
		return readRaw(h, c, i)
	},
}}

func askRaw(h *host, c *net.TCPConn, i int) error {
	if _, err := fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i); err != nil {
		return err
	}
	return readRaw(h, c, i)
}

// readRaw returns what is wrong with a response.
func readRaw(h *host, c *net.TCPConn, i int) error {
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(resp.Body)
	if err == nil && !bytes.Equal(got, h.due(fmt.Sprintf("/%d", i))) {
		err = fmt.Errorf("%s, %d other bytes", resp.Status, len(got))
	}
	return err
}

// Whatever a client does after the goodbye, the server is done with it in
// bounded time, and the client has read its response.
func TestRudeClients(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		for _, rude := range rudenesses {
			t.Run(rude.name, func(t *testing.T) {
				t.Parallel()
				h := newHost(t, lab, scene{dismiss: rude.tune == nil, tune: rude.tune}, true)
				h.closer.Policy.Wait = 300 * time.Millisecond
				h.serve()
				var wg sync.WaitGroup
				var whole atomic.Int64
				for i := range party {
					c, err := dialer.Dial("tcp", h.addr.String())
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { c.Close() })
					wg.Go(func() {
						if err := rude.be(h, c.(*net.TCPConn), i); err != nil {
							t.Error(err)
							return
						}
						whole.Add(1)
					})
				}
				wg.Wait()
				start := time.Now()
				h.await("the server has ended its connections", func() bool { return h.open() == 0 })
				took := time.Since(start)
				h.shutdown()
				h.awaitEndings()
				if n := h.timeWaits(); n != 0 || int(whole.Load()) != party {
					t.Errorf("TIME_WAIT %d, whole %d of %d", n, whole.Load(), party)
				}
				t.Logf("the server was done after %v: %s", took, h.endings())
			})
		}
	})
}
