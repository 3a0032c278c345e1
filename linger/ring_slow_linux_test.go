package linger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/linger"
)

// long is what a slow reader is sent.
var long = bytes.Repeat(body("/long"), 8<<20/len(body("/long"))+1)[:8<<20]

// A telling is a way for a server to give a reader something and to leave.
type telling struct {
	name string
	ask  string
}

// tellings: the reader learns the length beforehand; the end of the connection
// is that of the response; there is no protocol at all.
var tellings = []telling{
	{"length", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
	{"until EOF", "GET / HTTP/1.0\r\n\r\n"},
	{"bare TCP", ""},
}

// slowServers serve what is long, and close.
type slowServers struct {
	closer linger.Closer
	ended  [8]atomic.Int64
	web    netip.AddrPort
	bare   netip.AddrPort
}

func newSlowServers(t *testing.T, what []byte, ours bool) *slowServers {
	s := new(slowServers)
	s.closer.Ended = func(e linger.Ending) { s.ended[e].Add(1) }
	listen := func() (net.Listener, netip.AddrPort) {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		if ours {
			return s.closer.Listener(l), l.Addr().(*net.TCPAddr).AddrPort()
		}
		return l, l.Addr().(*net.TCPAddr).AddrPort()
	}
	var l net.Listener
	l, s.web = listen()
	srv := &http.Server{ErrorLog: quiet, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		if r.ProtoMinor == 1 {
			w.Header().Set("Content-Length", strconv.Itoa(len(what)))
		}
		w.Write(what)
	})}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })

	l, s.bare = listen()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				c.Write(what)
				c.Close()
			}()
		}
	}()
	return s
}

// A reader takes what is long in small pieces, and rests after each.
type reader struct {
	piece int
	rest  time.Duration
}

// read returns what is wrong with what it reads.
func (r reader) read(addr netip.AddrPort, how telling, want []byte) error {
	d := dialer
	d.Control = func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 64<<10)
		})
	}
	c, err := d.Dial("tcp", addr.String())
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(c, how.ask); err != nil {
		return err
	}
	rest := time.NewTicker(r.rest)
	defer rest.Stop()
	buf := make([]byte, r.piece)
	left := want // of the body
	header := how.ask != ""
	var head []byte
	for len(left) > 0 || how.name != "length" {
		<-rest.C
		n, err := io.ReadFull(c, buf[:min(len(buf), max(len(left), 1))])
		got := buf[:n]
		if header {
			head = append(head, got...)
			before, after, whole := bytes.Cut(head, []byte("\r\n\r\n"))
			if got = after; whole {
				header = false
				if !strings.Contains(string(before), " 200 ") {
					return fmt.Errorf("%s", before)
				}
			}
		}
		if !bytes.HasPrefix(left, got) {
			return fmt.Errorf("other bytes, %d before the end", len(left))
		}
		left = left[len(got):]
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%w, %d bytes before the end", err, len(left))
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("%d bytes are missing", len(left))
	}
	return nil
}

// readAll has n readers read, some of them at the same time, and returns how
// many have got everything.
func (s *slowServers) readAll(t *testing.T, to func(netip.AddrPort) netip.AddrPort, r reader, n, atOnce int, what []byte) (whole int64) {
	var wg sync.WaitGroup
	var got atomic.Int64
	next := make(chan int)
	for range atOnce {
		wg.Go(func() {
			for i := range next {
				how := tellings[i%len(tellings)]
				addr := s.web
				if how.ask == "" {
					addr = s.bare
				}
				if err := r.read(to(addr), how, what); err != nil {
					t.Errorf("%s: %v", how.name, err)
					continue
				}
				got.Add(1)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return got.Load()
}

func (s *slowServers) shutdown(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.closer.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown of the Closer: %v", err)
	}
}

func (s *slowServers) endings() string {
	h := host{}
	for i := range s.ended {
		h.ended[i].Store(s.ended[i].Load())
	}
	return h.endings()
}

// Who reads slowly has most of a response still before it when the server
// closes, and more than the Policy waits for a peer that stands still.
func TestSlowReaders(t *testing.T) {
	for _, loss := range []int{0, 5} {
		t.Run(fmt.Sprintf("loss %d%%", loss), func(t *testing.T) {
			netlab.Run(t, func(lab *netlab.Lab) {
				n, atOnce := 1000, 250
				if underRace {
					n, atOnce = 30, 30
				}
				s := newSlowServers(t, long, true)
				if loss > 0 {
					lab.Loss(t, loss)
				}
				start := time.Now()
				whole := s.readAll(t, func(a netip.AddrPort) netip.AddrPort { return a }, reader{256 << 10, 20 * time.Millisecond}, n, atOnce, long)
				s.shutdown(t)
				_, web := lab.TimeWaits(t, s.web)
				_, bare := lab.TimeWaits(t, s.bare)
				t.Logf("%d of %d whole in %v; TIME_WAIT of the servers %d; %s", whole, n, time.Since(start), web+bare, s.endings())
			})
		})
	}
}

// A proxy that does not know what it carries stands between the server and a
// slow reader: to the server's kernel all is delivered.
func TestSlowReadersBehindProxy(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		n, atOnce := 700, 175
		if underRace {
			n, atOnce = 50, 50
		}
		what := long[:1<<20]
		s := newSlowServers(t, what, true)
		through := map[netip.AddrPort]netip.AddrPort{s.web: lab.ProxyTCP(t, s.web), s.bare: lab.ProxyTCP(t, s.bare)}
		start := time.Now()
		whole := s.readAll(t, func(a netip.AddrPort) netip.AddrPort { return through[a] }, reader{32 << 10, 20 * time.Millisecond}, n, atOnce, what)
		s.shutdown(t)
		_, web := lab.TimeWaits(t, s.web)
		_, bare := lab.TimeWaits(t, s.bare)
		t.Logf("%d of %d whole in %v; TIME_WAIT of the servers %d; %s", whole, n, time.Since(start), web+bare, s.endings())
	}, netlab.Sysctl("net.ipv4.tcp_wmem", "4096 16384 65536"))
}
