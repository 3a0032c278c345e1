package linger_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/sockdiag"
	"github.com/lastack/lastack/linger"
)

// A host is net/http's server in a scene, behind a bare listener or a Closer's.
type host struct {
	t      *testing.T
	lab    *netlab.Lab
	sc     scene
	addr   netip.AddrPort
	l      *counting
	srv    *http.Server
	tls    bool
	closer *linger.Closer // nil: bare
	ended  [8]atomic.Int64

	arrived  atomic.Int64
	answered atomic.Int64
	all      chan struct{} // closed when as many have asked as will be answered
	closing  chan struct{} // closed when Shutdown has begun
	gone     chan struct{} // closed when the guests may leave
	shutdown func()
}

// counting counts what it accepts. Where it has a limit it keeps the others for
// itself, and leaves them unanswered.
type counting struct {
	*net.TCPListener
	limit    int64 // 0: none
	accepted atomic.Int64
	kept     atomic.Int64
	over     []net.Conn // those kept; Accept's
}

func (l *counting) Accept() (net.Conn, error) {
	for {
		c, err := l.TCPListener.Accept()
		switch {
		case err != nil:
			for _, c := range l.over {
				c.Close()
			}
			return nil, err
		case l.limit > 0 && l.accepted.Load() >= l.limit:
			l.over = append(l.over, c)
			l.kept.Add(1)
		default:
			l.accepted.Add(1)
			return c, nil
		}
	}
}

func newHost(t *testing.T, lab *netlab.Lab, sc scene, ours bool) *host {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{
		t: t, lab: lab, sc: sc,
		addr:    l.Addr().(*net.TCPAddr).AddrPort(),
		l:       &counting{TCPListener: l.(*net.TCPListener)},
		all:     make(chan struct{}),
		closing: make(chan struct{}),
		gone:    make(chan struct{}),
	}
	h.srv = &http.Server{Handler: h, ErrorLog: quiet, Protocols: new(http.Protocols)}
	h.srv.Protocols.SetHTTP1(true)
	if sc.tune != nil {
		sc.tune(h.srv)
	}
	h.srv.RegisterOnShutdown(sync.OnceFunc(func() { close(h.closing) }))
	if ours {
		h.closer = &linger.Closer{
			Policy: linger.Policy{Wait: time.Second},
			Ended:  func(e linger.Ending) { h.ended[e].Add(1) },
		}
	}
	h.shutdown = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := h.srv.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown of the server: %v", err)
		}
	})
	t.Cleanup(func() { h.srv.Close() })
	return h
}

func (h *host) serve() {
	var l net.Listener = h.l
	if h.closer != nil {
		l = h.closer.Listener(l)
	}
	if h.tls {
		h.srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{netlab.Certificate(h.t)}}
		go h.srv.ServeTLS(l, "", "")
		return
	}
	go h.srv.Serve(l)
}

// url is where a path is found. No two have the same body.
func (h *host) url(i int) string {
	if h.tls {
		return fmt.Sprintf("https://%v/%d", h.addr, i)
	}
	return fmt.Sprintf("http://%v/%d", h.addr, i)
}

// body is what there is at a path: some thousand bytes of noise.
func body(path string) []byte {
	noise := rand.NewChaCha8(sha256.Sum256([]byte(path)))
	b := make([]byte, 1000+noise.Uint64()%20000)
	noise.Read(b)
	return b
}

// due is what is to come of the path.
func (h *host) due(path string) []byte {
	b := body(path)
	if h.sc.fails {
		return b[:len(b)/2]
	}
	return b
}

// dues is how many responses were finished, in whatever way they were to be.
func (h *host) dues() int {
	if h.sc.big || h.sc.unbegun {
		return party
	}
	return int(h.answered.Load())
}

// ServeHTTP answers nobody before everybody has come, so that each comes by a
// connection of its own. Who asks
// again later waits for Shutdown.
func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/stay" {
		select {
		case <-h.gone:
		case <-r.Context().Done():
		}
		return
	}
	n := h.arrived.Add(1)
	if n == int64(party) {
		close(h.all)
	}
	if n > int64(party) {
		select {
		case <-h.closing:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	<-h.all // not the context's end: who half-closes still reads
	if h.sc.late && n%2 == 0 {
		<-h.closing
	}
	if h.sc.dismiss {
		w.Header().Set("Connection", "close")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body(r.URL.Path))))
	w.Write(h.due(r.URL.Path))
	h.answered.Add(1)
	if h.sc.fails {
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

// await looks less often than [netlab.Eventually] does: to list the kernel's
// sockets takes milliseconds.
func (h *host) await(what string, cond func() bool) {
	h.t.Helper()
	netlab.Eventually(h.t, patience, what, func() bool {
		if cond() {
			return true
		}
		<-time.After(20 * time.Millisecond)
		return false
	})
}

// open counts the server's sockets that are not in TIME_WAIT, nor waiting for
// nothing but the peer's FIN.
func (h *host) open() int {
	s := h.lab.States(h.t, h.addr).Server
	n := -s.MiniFinWait2
	for state, of := range s.By {
		if state != sockdiag.TimeWait {
			n += of
		}
	}
	return n
}

// kept counts the connections that the server has not closed.
func (h *host) kept() int {
	by := h.lab.States(h.t, h.addr).Server.By
	return by[sockdiag.Established] + by[sockdiag.CloseWait]
}

// timeWaits counts the server's TIME_WAITs, and what is as good as one.
func (h *host) timeWaits() int {
	s := h.lab.States(h.t, h.addr).Server
	return s.TimeWaits() + s.MiniFinWait2
}

// awaitEndings waits for the Closer's farewells: every connection has ended in
// some way.
func (h *host) awaitEndings() {
	if h.closer == nil {
		return
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	if err := h.closer.Shutdown(ctx); err != nil {
		h.t.Errorf("Shutdown of the Closer: %v", err)
	}
	var sum int64
	for i := range h.ended {
		sum += h.ended[i].Load()
	}
	if n := h.l.accepted.Load(); sum != n {
		h.t.Errorf("%d connections were accepted, %d have ended: %v", n, sum, h.endings())
	}
}

// endings says how connections ended.
func (h *host) endings() string {
	var parts []string
	for i := range h.ended {
		if n := h.ended[i].Load(); n > 0 {
			parts = append(parts, fmt.Sprintf("%v=%d", linger.Ending(i), n))
		}
	}
	return strings.Join(parts, " ")
}
