package pool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/sockopt"
)

// A cell is one way for an HTTP/1.1 request to fail.
type cell struct {
	reused  bool    // the connection had served a request
	written extent  // how much of the request the server's socket got
	read    extent  // how much of a response the client's socket got
	seen    witness // how the client comes to know
	method  string
	key     bool // Idempotency-Key
	body    string
}

type extent string

const (
	nothing extent = "nothing"
	part    extent = "part"
	all     extent = "all"
)

// A witness is who in the client sees the connection fail.
type witness string

const (
	readerSees witness = "reader" // a read fails, and writing is stuck until then
	writerSees witness = "writer" // a write fails, and the read is stuck until then
	beforehand witness = "before" // the connection is closed between its lease and the request
)

const (
	noBody  = "nil"
	getBody = "GetBody"
	oneShot = "one-shot"
)

// mustReplay is the rule, by what each cell says of itself. Taken is whether
// anything of the body was taken when the request failed.
//
//	nothing written: no server can have seen it, so any request is sent again;
//	    bytes that came meanwhile cannot be its response.
//	a part, or all: the server may have begun on it, or may have done it. Only
//	    what does no harm twice is sent again; and if a response had begun, the
//	    server has done something about it that is not to be hidden.
//	a new connection: it has not died of old age; the server does not like the
//	    request, and would be asked again and again.
//	PUT: as POST. By RFC 9110 the server's state is the same after two of them,
//	    but the second response need not be; http.Transport has it likewise.
//	one-shot body: it can be had again only if nothing was taken.
func (c cell) mustReplay(taken bool) bool {
	canSendBody := c.body != oneShot || !taken
	harmless := c.method == http.MethodGet || c.key
	notSeen := c.written == nothing
	return c.reused && canSendBody && (notSeen || harmless && c.read == nothing)
}

func (c cell) String() string {
	age, key := "new", ""
	if c.reused {
		age = "reused"
	}
	if c.key {
		key = "+key"
	}
	return fmt.Sprintf("%s/wrote=%s/read=%s/%s/%s%s/%s", age, c.written, c.read, c.seen, c.method, key, c.body)
}

func cells() (list []cell) {
	for _, reused := range []bool{false, true} {
		for _, written := range []extent{nothing, part, all} {
			for _, read := range []extent{nothing, part} {
				for _, seen := range []witness{readerSees, writerSees, beforehand} {
					if seen == writerSees && written == all || seen == beforehand && written != nothing {
						continue // there is no such thing
					}
					for _, m := range []struct {
						method string
						key    bool
					}{{"GET", false}, {"POST", false}, {"POST", true}, {"PUT", false}} {
						for _, body := range []string{noBody, getBody, oneShot} {
							list = append(list, cell{reused, written, read, seen, m.method, m.key, body})
						}
					}
				}
			}
		}
	}
	return list
}

// TestReplayCells plays each cell with our client and with net/http's, on real
// sockets, and counts at the server how often the request arrived.
func TestReplayCells(t *testing.T) {
	log.SetOutput(io.Discard) // net/http tells of responses that nobody asked for
	defer log.SetOutput(os.Stderr)
	more, fewer := 0, 0
	for _, c := range cells() {
		t.Run(c.String(), func(t *testing.T) {
			stock, ours := newVictim(t, c), newVictim(t, c)
			rt := &http.Transport{DialContext: stock.dial}
			defer rt.CloseIdleConnections()
			stock.send(rt)
			tr := &Transport{Base: &http.Transport{DialContext: ours.dial}}
			err := ours.send(tr)
			shutdownQuietly(t, tr)
			if err := ours.dialer.Shutdown(t.Context()); err != nil { // it is not the pool's
				t.Error(err)
			}
			shutdown(t, tr)

			want := c.mustReplay(ours.taken)
			if ours.replayed() != want {
				t.Errorf("sent again: %t, want %t (%v)", ours.replayed(), want, err)
			}
			if (err == nil) != want {
				t.Errorf("error %v; sent again: %t", err, want)
			}
			arrivals := int32(0)
			if c.written == all {
				arrivals++
			}
			if want {
				arrivals++
			}
			if n := ours.arrived.Load(); n != arrivals {
				t.Errorf("the request arrived %d times, want %d", n, arrivals)
			}
			if n := ours.arrived.Load(); n > 1 && c.method != http.MethodGet && !c.key {
				t.Errorf("%s arrived %d times", c.method, n)
			}
			if s := tr.Stats(); s.Retries != map[bool]uint64{true: 1}[want] {
				t.Errorf("%d retries counted", s.Retries)
			}
			if err != nil && strings.Contains(fmt.Sprintf("%T", err), "http.") {
				t.Errorf("the error is net/http's own %T", err)
			}
			switch {
			case ours.replayed() && !stock.replayed():
				more++
				t.Log("net/http does not send it again")
			case !ours.replayed() && stock.replayed():
				fewer++
				t.Error("net/http sends it again")
			}
		})
	}
	t.Logf("%d cells; net/http does not send again in %d where we do, and does in %d where we don't", len(cells()), more, fewer)
}

// A victim is a request that fails as its cell says, and the server and the
// connections that it fails on.
type victim struct {
	t    *testing.T
	cell cell
	addr string

	dialer dialer.Dialer

	dials    atomic.Int32
	arrived  atomic.Int32 // complete requests, but for the one that makes the connection a used one
	begun    atomic.Bool  // the request is under way
	body     countingBody
	taken    bool // of the body, before it was sent again, or ever
	first    *scriptedConn
	wrote    chan int64    // how many bytes of the first attempt were let through
	heard    chan struct{} // the client has read what the server has said
	serverIs chan struct{} // closed when the server has closed
}

func newVictim(t *testing.T, c cell) *victim {
	v := &victim{t: t, cell: c, wrote: make(chan int64, 1), heard: make(chan struct{}), serverIs: make(chan struct{})}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v.addr = l.Addr().String()
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for first := true; ; first = false {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(10 * time.Second))
				if first {
					v.serveFirst(conn.(*net.TCPConn))
				} else {
					v.serve(conn)
				}
			})
		}
	})
	return v
}

const okResponse = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

// serve answers requests as they come.
func (v *victim) serve(c net.Conn) {
	for r := bufio.NewReader(c); readRequest(r) == nil; {
		v.arrived.Add(1)
		io.WriteString(c, okResponse)
	}
}

func readRequest(r *bufio.Reader) error {
	req, err := http.ReadRequest(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err
}

// serveFirst serves the connection that the request fails on.
func (v *victim) serveFirst(c *net.TCPConn) {
	defer close(v.serverIs)
	if v.cell.reused {
		if err := readRequest(bufio.NewReader(c)); err != nil {
			v.t.Error(err)
		}
		io.WriteString(c, okResponse)
	}
	if v.cell.written == all {
		if err := readRequest(bufio.NewReader(c)); err != nil {
			v.t.Error(err)
		}
		v.arrived.Add(1)
	} else if got, err := io.ReadAll(io.LimitReader(c, <-v.wrote)); err != nil || (len(got) > 0) != (v.cell.written == part) {
		v.t.Errorf("the server got %q, %v", got, err)
	}
	if v.cell.read == part {
		io.WriteString(c, "HTTP/1.1 2")
		<-v.heard
	}
	if v.cell.seen == writerSees {
		c.SetLinger(0) // a write fails only after a reset
	}
	c.Close()
}

// send sends the request, after another if the connection is to be a reused
// one, and returns its error.
func (v *victim) send(rt http.RoundTripper) error {
	if v.cell.reused {
		get(v.t, rt, "http://"+v.addr)
	}
	ctx, cancel := context.WithTimeout(v.t.Context(), 10*time.Second)
	defer cancel()
	if v.cell.seen == beforehand {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
			if !v.begun.Swap(true) {
				v.wrote <- 0
				<-v.first.closed // net/http has seen the end
			}
		}})
	} else {
		v.begun.Store(true)
	}
	req, err := http.NewRequestWithContext(ctx, v.cell.method, "http://"+v.addr, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	if v.cell.key {
		req.Header.Set("Idempotency-Key", "1")
	}
	if v.cell.written == part && v.cell.body == noBody {
		req.Header.Set("X-Long", strings.Repeat("x", 8<<10)) // else it is one write, whole or nothing
	}
	v.body.Reader = strings.NewReader("payload")
	switch v.cell.body {
	case getBody:
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("payload")), nil }
		req.Body, _ = req.GetBody()
		req.ContentLength = 7
	case oneShot:
		req.Body = &v.body
		req.ContentLength = 7
	}
	resp, err := rt.RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	if !v.replayed() {
		v.taken = v.body.reads.Load() > 0
	}
	if v.cell.body == oneShot {
		// It may be closed after RoundTrip has returned.
		netlab.Eventually(v.t, 5*time.Second, "the body is closed", v.body.closed.Load)
	}
	return err
}

// replayed reports whether the request was sent on a second connection.
func (v *victim) replayed() bool { return v.dials.Load() > 1 }

// dial makes a connection; the first is scripted.
func (v *victim) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := v.dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if v.dials.Add(1) > 1 {
		v.taken = v.body.reads.Load() > 0
		return c, nil
	}
	v.first = &scriptedConn{Conn: c, v: v, closed: make(chan struct{})}
	return v.first, nil
}

// A scriptedConn lets through of the request what its cell says, and has the
// client see the end where the cell says.
type scriptedConn struct {
	net.Conn
	v      *victim
	once   sync.Once
	closed chan struct{}
	hears  atomic.Bool // the client has read what there is of a response
	said   sync.Once
}

// NetConn lets the pool end the connection well.
func (c *scriptedConn) NetConn() net.Conn { return c.Conn }

func (c *scriptedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
	c.said.Do(func() { close(c.v.heard) })
	return err
}

func (c *scriptedConn) Read(p []byte) (int, error) {
	if c.hears.Load() {
		// net/http has looked at what it was given, and wants more.
		c.said.Do(func() { close(c.v.heard) })
	}
	n, err := c.Conn.Read(p)
	if n > 0 && c.v.begun.Load() {
		c.hears.Store(true)
	}
	if err != nil && c.v.cell.seen == writerSees {
		<-c.closed
	}
	return n, err
}

func (c *scriptedConn) Write(p []byte) (int, error) {
	if !c.v.begun.Load() || c.v.cell.seen == beforehand {
		return c.Conn.Write(p)
	}
	if c.v.cell.written == all {
		return c.Conn.Write(p)
	}
	let := 0
	if c.v.cell.written == part {
		let = len(p) - 1
	}
	n, err := c.Conn.Write(p[:let])
	if err != nil {
		c.v.t.Error(err)
	}
	c.v.wrote <- int64(n)
	if c.v.cell.seen == readerSees {
		<-c.closed // as if the send buffer were full
		return n, &net.OpError{Op: "write", Net: "tcp", Err: net.ErrClosed}
	}
	<-c.v.serverIs
	awaitReset(c.v.t, c.Conn)
	m, err := c.Conn.Write(p[n:])
	return n + m, err
}

// awaitReset waits until the kernel knows that the connection is gone.
func awaitReset(t *testing.T, c net.Conn) {
	raw, err := c.(interface {
		SyscallConn() (syscall.RawConn, error)
	}).SyscallConn()
	if err != nil {
		t.Error(err)
		return
	}
	netlab.Eventually(t, 5*time.Second, "the reset has come", func() bool {
		info, err := sockopt.ReadInfo(raw)
		return errors.Is(err, errors.ErrUnsupported) || err == nil && info.State == sockopt.Closed
	})
}

// A countingBody is a body that can be read once.
type countingBody struct {
	io.Reader
	reads  atomic.Int32
	closed atomic.Bool
}

func (b *countingBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, errors.New("read after Close")
	}
	b.reads.Add(1)
	return b.Reader.Read(p)
}

func (b *countingBody) Close() error { b.closed.Store(true); return nil }
