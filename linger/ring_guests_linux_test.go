package linger_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/sockdiag"
)

// A guest is a client program, of which the scene makes the connections.
type guest interface {
	come()      // connects, and asks
	leave() int // returns, when all have left, how many responses came as they were due
	held() int  // connections that the guest needs to stay
}

var guests = map[string]func(*host) guest{
	"net/http":      func(h *host) guest { return newGopher(h, 1, false) },
	"net/http TLS":  func(h *host) guest { return newGopher(h, 1, true) },
	"net/http h2":   func(h *host) guest { return newGopher(h, 2, true) },
	"net/http h2c":  func(h *host) guest { return newGopher(h, 2, false) },
	"curl":          func(h *host) guest { return &curl{h: h} },
	"nginx":         func(h *host) guest { return newProxied(h, true) },
	"nginx close":   func(h *host) guest { return newProxied(h, false) },
	"wrk":           func(h *host) guest { return newWrk(h) },
	"h2load":        func(h *host) guest { return newH2load(h, 2) },
	"h2load h1":     func(h *host) guest { return newH2load(h, 1) },
	"silent":        func(h *host) guest { return &raw{h: h} },
	"silent TLS":    func(h *host) guest { h.tls = true; return &raw{h: h} },
	"half a header": func(h *host) guest { return &raw{h: h, says: "GET / HTTP/1.1\r\nHost: x"} },
	"curl telnet":   func(h *host) guest { return &telnet{h: h} },
}

// beSlow has the host leave a client of HTTP/2 the time to ask at all: its idle
// time begins with the connection.
func (h *host) beSlow() { h.srv.IdleTimeout *= 10 }

// A gopher is net/http's client.
type gopher struct {
	h     *host
	url   func(i int) string
	rts   []*http.Transport // one for each connection of HTTP/2, else one
	wg    sync.WaitGroup
	whole atomic.Int64
}

func newGopher(h *host, major int, secure bool) *gopher {
	h.tls = secure
	g := &gopher{h: h, url: h.url}
	n := 1
	if major == 2 {
		n = party
		h.beSlow()
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(major == 1)
	protocols.SetHTTP2(major == 2 && secure)
	protocols.SetUnencryptedHTTP2(major == 2 && !secure)
	h.srv.Protocols = protocols
	for range n {
		tr := &http.Transport{
			Protocols:           protocols,
			MaxIdleConnsPerHost: 1000,
			DisableCompression:  true,
			TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
		}
		g.rts = append(g.rts, tr)
		h.t.Cleanup(tr.CloseIdleConnections)
	}
	return g
}

func (g *gopher) come() {
	for i := range party {
		g.wg.Go(func() {
			if err := g.ask(i); err != nil {
				g.h.t.Errorf("%d: %v", i, err)
				return
			}
			g.whole.Add(1)
		})
	}
}

// ask makes one request and returns what is wrong with the response.
func (g *gopher) ask(i int) error {
	req, err := http.NewRequestWithContext(g.h.t.Context(), http.MethodGet, g.url(i), nil)
	if err != nil {
		return err
	}
	req.Close = g.h.sc.leaves
	if g.h.sc.big {
		req.Header.Set("X-Big", strings.Repeat("x", big))
	}
	resp, err := g.rts[i%len(g.rts)].RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if g.h.sc.fails && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)) {
		err = nil
	}
	if g.h.sc.big && resp.StatusCode == http.StatusRequestHeaderFieldsTooLarge && strings.HasPrefix(string(got), "431 ") {
		return err
	}
	if want := g.h.due(req.URL.Path); err == nil && !bytes.Equal(got, want) {
		err = errors.New(resp.Status + " and other bytes")
	}
	if err != nil {
		err = fmt.Errorf("%w, after %d bytes", err, len(got))
	}
	return err
}

func (g *gopher) leave() int {
	g.wg.Wait()
	for _, rt := range g.rts {
		rt.CloseIdleConnections()
	}
	return int(g.whole.Load())
}

func (*gopher) held() int { return 0 }

// newProxied returns a gopher that asks nginx, which asks the host.
func newProxied(h *host, keep bool) guest {
	g := newGopher(h, 1, false)
	h.srv.Protocols.SetUnencryptedHTTP2(false)
	nginx := h.lab.Start(h.t, netlab.NginxHTTP(h.addr, keep), netlab.Config{})
	g.url = func(i int) string { return fmt.Sprintf("http://%v/%d", nginx.Plain, i) }
	return &proxied{g, nginx}
}

type proxied struct {
	*gopher
	nginx *netlab.Server
}

func (p *proxied) leave() int {
	n := p.gopher.leave()
	if !p.h.sc.shutdown && !p.h.sc.lingers { // it would keep its connections
		p.h.shutdown()
	}
	p.h.await("nginx has left", func() bool { return p.h.open() == 0 })
	p.nginx.Stop()
	return n
}

// A program is a guest that is a process of its own.
type program struct {
	h       *host
	cmd     *exec.Cmd
	printed bytes.Buffer
}

func (p *program) start(of netlab.ClientProgram, args ...string) {
	p.cmd = p.h.lab.Client(p.h.t, of, args...)
	p.cmd.Stdout, p.cmd.Stderr = &p.printed, &p.printed
	if err := p.cmd.Start(); err != nil {
		p.h.t.Fatal(err)
	}
}

func (*program) held() int { return 0 }

// curl makes all its requests at the same time. It looks at no connection at
// rest, and keeps four for each transfer that it is still busy with.
type curl struct {
	program
	h *host
}

func (c *curl) held() int {
	if c.h.sc.lingers {
		return party/4 + 10
	}
	return 0
}

func (c *curl) come() {
	c.program.h = c.h
	args := []string{"-sS", "-Z", "--parallel-immediate", "--parallel-max", "300", "--no-progress-meter"}
	if c.h.sc.leaves {
		args = append(args, "-H", "Connection: close")
	}
	if c.h.sc.big {
		args = append(args, "-H", "X-Big: "+strings.Repeat("x", big))
	}
	url := strings.TrimSuffix(c.h.url(0), "0")
	args = append(args, "-o", "#1", fmt.Sprintf("%s[0-%d]", url, party-1))
	for range c.held() {
		args = append(args, "-o", "stay", url+"stay")
	}
	c.start(netlab.Curl, args...)
}

func (c *curl) leave() int {
	err := c.cmd.Wait()
	if err != nil && !c.h.sc.fails {
		c.h.t.Errorf("curl: %v\n%s", err, &c.printed)
	}
	whole := 0
	for i := range party {
		got, _ := os.ReadFile(filepath.Join(c.cmd.Dir, strconv.Itoa(i)))
		if bytes.Equal(got, c.h.due("/"+strconv.Itoa(i))) || c.h.sc.big && strings.HasPrefix(string(got), "431 ") {
			whole++
		}
	}
	return whole
}

// wrk asks again and again, until it is interrupted.
type wrk struct {
	program
}

func newWrk(h *host) guest {
	if h.sc.big { // no handler can make it wait
		h.l.limit = int64(party) + 1 // wrk makes one to see whether there is a server
	}
	return &wrk{program{h: h}}
}

func (w *wrk) come() {
	args := []string{"-t1", "-d60s", "--timeout", "60s", "-c", strconv.Itoa(party)}
	if w.h.sc.leaves {
		args = append(args, "-H", "Connection: close")
	}
	if w.h.sc.big {
		args = append(args, "-H", "X-Big: "+strings.Repeat("x", big))
	}
	w.start(netlab.Wrk, append(args, w.h.url(7))...)
}

// leave interrupts wrk when it has begun its second round, so it has seen the
// end of the first.
func (w *wrk) leave() int {
	switch {
	case w.h.sc.shutdown:
		<-w.h.closing
		w.h.await("wrk has no connections", func() bool {
			by := w.h.lab.States(w.h.t, w.h.addr).Client.By
			return w.h.open() == 0 && by[sockdiag.Established]+by[sockdiag.CloseWait] == 0
		})
	case w.h.sc.big:
		w.h.await("wrk has new connections", func() bool {
			return w.h.l.kept.Load() >= int64(party)
		})
	default:
		w.h.await("wrk has asked twice", func() bool { return w.h.arrived.Load() >= int64(2*party) })
	}
	w.cmd.Process.Signal(syscall.SIGINT)
	w.cmd.Wait()
	tally, err := netlab.ReadTally(netlab.Wrk, w.printed.Bytes())
	if err != nil {
		w.h.t.Error(err)
	}
	if w.h.sc.big {
		w.h.shutdown() // and with the listener goes what it kept
	}
	switch {
	case w.h.sc.big:
		return tally.Refused
	case w.h.sc.fails:
		return tally.Broken
	}
	return tally.Whole
}

// h2load speaks HTTP/2 in plaintext, or HTTP/1.1.
type h2load struct {
	program
	major int
}

func newH2load(h *host, major int) guest {
	h.srv.Protocols.SetUnencryptedHTTP2(major == 2)
	if major == 2 {
		h.beSlow()
	}
	return &h2load{program{h: h}, major}
}

func (l *h2load) come() {
	n := strconv.Itoa(party)
	args := []string{"-t1", "-m1", "-c", n, "-n", n}
	if l.h.sc.lingers { // its next request is due in two seconds
		args = []string{"-t1", "-m1", "-c", n, "-n", strconv.Itoa(2 * party), "--rps", "0.5"}
	}
	if l.major == 1 {
		args = append(args, "--h1")
	}
	if l.h.sc.leaves {
		args = append(args, "-H", "connection: close")
	}
	if l.h.sc.big {
		args = append(args, "-H", "x-big: "+strings.Repeat("x", big))
	}
	l.start(netlab.H2load, append(args, l.h.url(7))...)
}

func (l *h2load) leave() int {
	if err := l.cmd.Wait(); err != nil {
		l.h.t.Errorf("h2load: %v\n%s", err, &l.printed)
	}
	tally, err := netlab.ReadTally(netlab.H2load, l.printed.Bytes())
	if err != nil {
		l.h.t.Error(err)
	}
	return tally.Whole
}

// raw are connections on which not even the header of a request comes to its
// end.
type raw struct {
	h     *host
	says  string
	conns []net.Conn
}

func (r *raw) come() {
	for range party {
		c, err := dialer.Dial("tcp", r.h.addr.String())
		if err != nil {
			r.h.t.Error(err)
			return
		}
		r.h.t.Cleanup(func() { c.Close() })
		if r.h.tls {
			c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		}
		io.WriteString(c, r.says) // and the handshake
		r.conns = append(r.conns, c)
	}
}

// leave counts the ends that are clean.
func (r *raw) leave() int {
	whole := 0
	for _, c := range r.conns {
		if _, err := c.Read(make([]byte, 1)); err == io.EOF {
			whole++
		} else {
			r.h.t.Logf("read: %v", err)
		}
		c.Close()
	}
	return whole
}

func (*raw) held() int { return 0 }

// telnet is curl, which says what it is told to.
type telnet struct {
	h        *host
	programs []*program
	ins      []io.Closer // their standard input
}

func (*telnet) held() int { return 0 }

func (c *telnet) come() {
	for range party / 10 { // these are processes
		p := &program{h: c.h}
		p.cmd = c.h.lab.Client(c.h.t, netlab.Curl, "-sS", fmt.Sprintf("telnet://%v", c.h.addr))
		in, err := p.cmd.StdinPipe()
		if err != nil {
			c.h.t.Fatal(err)
		}
		if err := p.cmd.Start(); err != nil {
			c.h.t.Fatal(err)
		}
		io.WriteString(in, "GET / HTTP/1.1\r\nHost: x\r\n")
		c.programs, c.ins = append(c.programs, p), append(c.ins, in)
	}
	c.h.await("they have connected", func() bool { return c.h.l.accepted.Load() == int64(len(c.programs)) })
}

func (c *telnet) leave() int {
	for i, p := range c.programs {
		c.ins[i].Close() // curl sometimes waits for what it could say next
		p.cmd.Wait()     // with an error, where it was too slow and spoke after the end
	}
	return party
}
