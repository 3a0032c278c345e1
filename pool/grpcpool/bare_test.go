package grpcpool

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/mem"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// The tests in this file are of what a transport of grpc-go finds in a bare
// *net.TCPConn and must find in ours.

// dialPair returns a connection of ours and the server's side of it.
func dialPair(t *testing.T, d *dialer.Dialer) (*conn, net.Conn) {
	t.Helper()
	l := listen(t, "tcp", "127.0.0.1:0")
	defer l.Close()
	c, err := newDialing(d).dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return c.(*conn), server
}

// TestCloseByMany: the transport closes in the goroutine that writes and in the
// one that was asked to, in any order.
func TestCloseByMany(t *testing.T) {
	d := &dialer.Dialer{Meter: &metrics.Meter{}}
	c, _ := dialPair(t, d)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2 {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := d.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := d.Meter.Snapshot()
	ended := uint64(0)
	for _, n := range s.Ended {
		ended += n
	}
	if s.Born != 1 || ended != 1 || s.Balance() != nil {
		t.Errorf("one connection was closed: %v (%v)", s, s.Balance())
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
}

// TestCloseReleasesReader: Close of a transport waits for its reader, and for
// a second only where it has set a deadline before.
func TestCloseReleasesReader(t *testing.T) {
	for name, read := range map[string]func(*conn) error{
		"Read": func(c *conn) error {
			_, err := c.Read(make([]byte, 1))
			return err
		},
		"ReadOnReady": readOnReady,
	} {
		t.Run(name, func(t *testing.T) {
			c, server := dialPair(t, nil)
			if _, err := server.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if err := read(c); err != nil {
				t.Fatal(err)
			}
			errs := make(chan error)
			go func() { errs <- read(c) }() // it most likely blocks before we get to close
			c.Close()
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Errorf("got %v, want net.ErrClosed", err)
			}
		})
	}
}

// whenReady is what grpc-go looks for.
type whenReady interface {
	ReadOnReady(size int, pool mem.BufferPool) (*[]byte, int, error)
}

// readOnReady reads one byte, on platforms that can tell when.
func readOnReady(c *conn) error {
	rc, ok := any(c).(whenReady)
	if !ok {
		_, err := c.Read(make([]byte, 1))
		return err
	}
	buf, _, err := rc.ReadOnReady(1, mem.DefaultBufferPool())
	if err == nil {
		mem.DefaultBufferPool().Put(buf)
	}
	return err
}

// lent counts the buffers that are in use.
type lent struct {
	mem.BufferPool
	mu        sync.Mutex
	gets, now int
}

func (l *lent) Get(n int) *[]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gets++
	l.now++
	return l.BufferPool.Get(n)
}

func (l *lent) Put(b *[]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now--
	l.BufferPool.Put(b)
}

// TestNoBufferAtRest: a reader that waits holds none, and one that fails none
// either.
func TestNoBufferAtRest(t *testing.T) {
	c, server := dialPair(t, nil)
	rc, ok := any(c).(whenReady)
	if !ok {
		t.Skip("sockets cannot be read when they are ready here")
	}
	pool := &lent{BufferPool: mem.DefaultBufferPool()}
	type result struct {
		buf *[]byte
		n   int
		err error
	}
	results := make(chan result)
	read := func() {
		buf, n, err := rc.ReadOnReady(100, pool)
		results <- result{buf, n, err}
	}
	waits := func(gets int) {
		t.Helper()
		netlab.Eventually(t, 10*time.Second, "the reader waits without a buffer", func() bool {
			pool.mu.Lock()
			defer pool.mu.Unlock()
			return pool.gets >= gets && pool.now == 0
		})
	}
	go read()
	waits(1)
	if _, err := server.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	r := <-results
	if r.err != nil || string((*r.buf)[:r.n]) != "hello" {
		t.Fatalf("read %+v", r)
	}
	pool.Put(r.buf)
	before := pool.gets
	go read()
	waits(before + 1)
	server.Close()
	if r := <-results; r.buf != nil || r.err != io.EOF || pool.now != 0 {
		t.Errorf("at the end: %+v, with %d buffers lost", r, pool.now)
	}
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	go read()
	if r := <-results; r.buf != nil || !errors.Is(r.err, os.ErrDeadlineExceeded) || pool.now != 0 {
		t.Errorf("after the deadline: %+v, with %d buffers lost", r, pool.now)
	}
}

// TestFarewellIsUndisturbed: after TLS has said its goodbye, the connection
// waits for the server, but Close does not, and the deadlines that a transport
// sets in any order with Close are not the farewell's.
func TestFarewellIsUndisturbed(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	certified.Close()
	d := &dialer.Dialer{
		Meter:  &metrics.Meter{},
		Linger: &linger.Closer{Policy: linger.Policy{Wait: time.Hour}},
	}
	c, bare := dialPair(t, d)
	server := tls.Server(bare, certified.TLS)
	shaken := make(chan error)
	go func() {
		_, err := server.Read(make([]byte, 1))
		shaken <- err
	}()
	client := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil { // it would take an hour if it waited
		t.Fatal(err)
	}
	past := time.Unix(1, 0)
	c.SetDeadline(past)
	c.SetReadDeadline(past)
	c.SetWriteDeadline(past)

	if _, err := server.Read(make([]byte, 1)); err != io.EOF { // close_notify
		t.Fatalf("the server reads %v", err)
	}
	bare.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := bare.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client has not waited for the server: %d, %v", n, err)
	}
	bare.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := d.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if s := d.Meter.Snapshot(); s.Ended[linger.PeerFirst] != 1 {
		t.Errorf("the server has closed first: %v", s)
	}
}
