package pool

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	soakHosts     = 50
	soakRest      = 500 * time.Millisecond
	soakPort      = 8443 // of our client's servers
	soakStockPort = 8444 // of stock net/http's, so that the kernel's sockets can be told apart
)

// soakHost returns the address of the i-th host, and what it speaks.
func soakHost(i int) (addr netip.Addr, proto string) {
	return netip.AddrFrom4([4]byte{127, 0, 1, byte(i + 1)}), protos[i%len(protos)]
}

// soakKind returns 1 for a host that closes connections that have rested for
// soakRest, and 0 for one that lets them rest.
func soakKind(i int) int {
	if i%5 == 0 {
		return 1
	}
	return 0
}

// A soakReport is what the servers of the soak have seen.
type soakReport struct {
	Posts  []byte      // how often each POST was begun on, by id
	Faulty [][]episode // when each host misbehaved
	Ours   socketCensus
	Stock  socketCensus
}

// An episode is a time in which a host misbehaved.
type episode struct {
	Fault    string
	From, To time.Time
}

// soakServer is the process of the soak's servers: every host behaves well and
// badly by turns, each turn about as long as args[0]. It says "ready", and
// prints its report when a line comes.
func soakServer(args []string) {
	turn, err := time.ParseDuration(args[0])
	if err != nil {
		panic(err)
	}
	some := httptest.NewUnstartedServer(nil)
	some.StartTLS()
	config := some.TLS.Clone()
	some.Close()

	s := &soakServers{tls: config}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range soakHosts {
		h := &soakHostServer{all: s, resting: newConnSet(), over: make(chan struct{})}
		h.addr, h.proto = soakHost(i)
		if soakKind(i) == 1 {
			h.idle = soakRest
		}
		s.hosts = append(s.hosts, h)
		h.start()
		wg.Go(func() { h.live(ctx, turn) })
	}
	ours, stock := newSocketCensus(soakPort), newSocketCensus(soakStockPort)
	wg.Go(func() { takeCensus(ctx, ours, stock) })

	lines := bufio.NewScanner(os.Stdin)
	fmt.Println("ready")
	for lines.Scan() && lines.Text() != "stop" {
	}
	stop()
	wg.Wait()
	fmt.Println("stopped") // all hosts are well and stay so
	lines.Scan()

	takeCensusOnce(ours, stock)
	report := soakReport{Posts: s.posts, Ours: *ours, Stock: *stock}
	for _, h := range s.hosts {
		h.mu.Lock()
		report.Faulty = append(report.Faulty, slices.Clone(h.episodes))
		h.mu.Unlock()
	}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		panic(err)
	}
}

type soakServers struct {
	tls   *tls.Config
	hosts []*soakHostServer

	mu    sync.Mutex
	posts []byte
}

// begun notes that somebody has begun on a POST.
func (s *soakServers) begun(r *http.Request) {
	if r.Method != http.MethodPost {
		return
	}
	id, err := strconv.Atoi(r.Header.Get("X-Id"))
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if id >= len(s.posts) {
		s.posts = append(s.posts, make([]byte, id+1000-len(s.posts))...)
	}
	s.posts[id]++
}

// A soakHostServer serves one host, at a port for either client.
type soakHostServer struct {
	all     *soakServers
	addr    netip.Addr
	proto   string
	idle    time.Duration // after which it closes resting connections; 0: never
	resting *connSet
	servers []*http.Server

	fault atomic.Pointer[soakFault] // nil: it is well
	mu    sync.Mutex
	over  chan struct{} // closed when the fault is over
	held  []net.Conn    // accepted and not served

	episodes []episode // when it misbehaved
}

func (h *soakHostServer) start() {
	h.servers = nil
	for _, port := range []uint16{soakPort, soakStockPort} {
		l, err := net.Listen("tcp4", netip.AddrPortFrom(h.addr, port).String())
		if err != nil {
			panic(err)
		}
		srv := &http.Server{
			Handler: h, Protocols: speaking(h.proto), ErrorLog: quiet,
			TLSConfig: h.all.tls.Clone(), IdleTimeout: h.idle,
			HTTP2:       &http.HTTP2Config{MaxConcurrentStreams: 8},
			ConnState:   h.connState,
			ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, soakConn{}, c) },
		}
		srv.TLSConfig.NextProtos = nil // the Protocols say what is offered
		h.servers = append(h.servers, srv)
		if h.proto == "https" || h.proto == "h2" {
			go srv.ServeTLS(&holdingListener{l, h}, "", "")
		} else {
			go srv.Serve(&holdingListener{l, h})
		}
	}
}

func (h *soakHostServer) stop() {
	for _, srv := range h.servers {
		srv.Close()
	}
}

// connState notes which connections rest.
func (h *soakHostServer) connState(c net.Conn, s http.ConnState) {
	if s == http.StateIdle {
		h.resting.add(c)
	} else {
		h.resting.remove(c)
	}
}

// soakConn is the key of a request's connection in its context.
type soakConn struct{}

// connOf returns the request's connection as the server has it, and the TCP
// connection below it.
func connOf(r *http.Request) (net.Conn, *net.TCPConn) {
	c := r.Context().Value(soakConn{}).(net.Conn)
	if t, ok := c.(*tls.Conn); ok {
		return c, t.NetConn().(*net.TCPConn)
	}
	return c, c.(*net.TCPConn)
}

// live has the host behave well and badly by turns.
func (h *soakHostServer) live(ctx context.Context, turn time.Duration) {
	for {
		if !pause(ctx, turn*2/3) {
			return
		}
		began := time.Now()
		f := &soakFaults[rand.IntN(len(soakFaults))]
		h.mu.Lock()
		h.over = make(chan struct{})
		h.mu.Unlock()
		h.fault.Store(f)
		if f.host != nil {
			f.host(ctx, h, turn)
		} else {
			pause(ctx, turn*2/3)
		}
		h.fault.Store(nil)
		h.mu.Lock()
		close(h.over)
		for _, c := range h.held {
			c.Close()
		}
		h.held = nil
		h.episodes = append(h.episodes, episode{f.name, began, time.Now()})
		h.mu.Unlock()
	}
}

// A holdingListener accepts, while its host is deaf, and passes nothing on.
type holdingListener struct {
	net.Listener
	h *soakHostServer
}

func (l *holdingListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.h.mu.Lock()
		f := l.h.fault.Load()
		if f == nil || !f.deaf {
			l.h.mu.Unlock()
			return c, nil
		}
		l.h.held = append(l.h.held, c)
		l.h.mu.Unlock()
	}
}

// ServeHTTP answers with as many bytes as the query says, unless it is time for a fault.
func (h *soakHostServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.all.begun(r)
	w.Header().Set("X-Id", r.Header.Get("X-Id"))
	f := h.fault.Load()
	if f == nil || f.request == nil || rand.IntN(3) > 0 {
		if f == nil {
			w.Header().Set("X-Well", "yes")
		}
		respond(w, r)
		return
	}
	began := time.Now()
	defer func() { h.outlasts(f, began) }()
	f.request(h, w, r)
}

// outlasts notes that a handler misbehaved from then until now if the fault that
// it belongs to is over: on a machine that has much else to do it comes late.
func (h *soakHostServer) outlasts(f *soakFault, began time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fault.Load() != f {
		h.episodes = append(h.episodes, episode{f.name, began, time.Now()})
	}
}

// respond reads the request and answers it as it wants to be.
func respond(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil || r.ContentLength >= 0 && n != r.ContentLength {
		panic(http.ErrAbortHandler)
	}
	size := wanted(r)
	w.Header().Set("X-Size", strconv.Itoa(size))
	if size%2 == 0 { // the others are chunked, or end with their stream
		w.Header().Set("Content-Length", strconv.Itoa(size))
	}
	for size > 0 {
		n, err := w.Write(soakBytes[:min(size, len(soakBytes))])
		if err != nil {
			return
		}
		size -= n
	}
}

var soakBytes = make([]byte, 32<<10)

func wanted(r *http.Request) int {
	n, _ := strconv.Atoi(r.URL.RawQuery)
	return n
}
