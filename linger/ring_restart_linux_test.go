package linger_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/linger"
)

func init() { netlab.Register("server that restarts", restartable) }

// restartable listens, when it is told to, once at its argument and says so, and
// serves until it is asked to end: it stops listening and says so, and then goes
// on as long as its connections need.
func restartable(args []string) {
	fail := func(err error) {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Stdin.Read(make([]byte, 1))
	l, err := net.Listen("tcp4", args[0])
	if err != nil {
		fail(err)
	}
	closer := linger.Closer{Policy: linger.Policy{Wait: 500 * time.Millisecond}}
	srv := &http.Server{ErrorLog: quiet, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "last" {
			w.Header().Set("Connection", "close")
		}
		w.Write(body(r.URL.Path))
	})}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	fmt.Println("listening")
	go srv.Serve(closer.Listener(l))
	<-ended
	l.Close()
	fmt.Println("closed")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := errors.Join(srv.Shutdown(ctx), closer.Shutdown(ctx)); err != nil && !errors.Is(err, net.ErrClosed) {
		fail(err)
	}
	fmt.Println("done")
}

// A generation is one process of a server that restarts. It does not listen yet.
type generation struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func newGeneration(t *testing.T, lab *netlab.Lab, addr netip.AddrPort) *generation {
	t.Helper()
	g := &generation{cmd: lab.Child(t, "server that restarts", addr.String())}
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if g.in, err = g.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	g.cmd.Stderr = os.Stderr
	g.out = bufio.NewScanner(out)
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return g
}

// listen has the process listen.
func (g *generation) listen(t *testing.T) {
	t.Helper()
	g.in.Close()
	g.want(t, "listening") // or it says EADDRINUSE
}

// want reads the next line that the process prints.
func (g *generation) want(t *testing.T, line string) {
	t.Helper()
	if !g.out.Scan() || g.out.Text() != line {
		t.Fatalf("the server says %q, want %q (%v)", g.out.Text(), line, g.out.Err())
	}
}

// A loadCaller makes requests without pause, some of which end their connection.
type loadCaller struct {
	addr netip.AddrPort
	tr   http.Transport

	away *atomic.Int64 // odd while nobody listens
	load *load
}

// load counts what callers see.
type load struct {
	whole    atomic.Int64
	between  atomic.Int64 // dials that were refused while nobody listened
	backlog  atomic.Int64 // connections that were reset with the listener that had not accepted them
	unserved atomic.Int64 // new connections whose request net/http read, and left, as Shutdown began
	mu       sync.Mutex
	troubles []error
}

func (l *load) trouble(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.troubles = append(l.troubles, err)
}

func (c *loadCaller) run(ctx context.Context, name string) {
	defer c.tr.CloseIdleConnections()
	for i := 0; ctx.Err() == nil; i++ {
		path, query := fmt.Sprintf("/%s-%d", name, i%10), ""
		if i%3 == 0 {
			query = "?last"
		}
		before := c.away.Load()
		err := c.ask(path, query)
		after := c.away.Load()
		changed := before%2 == 1 || before != after // nobody listened for a part of the time
		switch {
		case err == nil:
			c.load.whole.Add(1)
		case changed && errors.Is(err, syscall.ECONNREFUSED):
			c.load.between.Add(1)
			<-time.After(time.Millisecond)
		case changed && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)):
			c.load.backlog.Add(1)
		case changed && err == io.EOF:
			c.load.unserved.Add(1)
		default:
			c.load.trouble(fmt.Errorf("%s%s: %w", path, query, err))
		}
	}
}

func (c *loadCaller) ask(path, query string) error {
	// Not the context of the load: what has begun is to end well.
	resp, err := c.tr.RoundTrip(newRequest(c.addr, path, query))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil && !bytes.Equal(got, body(path)) {
		err = fmt.Errorf("%d other bytes", len(got))
	}
	return err
}

func newRequest(addr netip.AddrPort, path, query string) *http.Request {
	req, err := http.NewRequest(http.MethodGet, "http://"+addr.String()+path+query, nil)
	if err != nil {
		panic(err)
	}
	return req
}

// A server that stops listening is followed at once by a process that listens
// at the same port, under load, while it still says its own goodbyes.
func TestRestart(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		addr := netip.MustParseAddrPort("127.0.0.1:7777")
		old := newGeneration(t, lab, addr)
		old.listen(t)

		var l load
		var away atomic.Int64
		ctx, stop := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		for i := range 20 {
			callers.Go(func() {
				c := loadCaller{addr: addr, away: &away, load: &l}
				c.run(ctx, fmt.Sprint(i))
			})
		}
		const restarts = 5
		var longest time.Duration
		for range restarts {
			was := l.whole.Load()
			netlab.Eventually(t, patience, "the server serves", func() bool { return l.whole.Load() > was+500 })
			next := newGeneration(t, lab, addr)
			start := time.Now()
			away.Add(1)
			old.cmd.Process.Signal(syscall.SIGTERM)
			old.want(t, "closed")
			next.listen(t)
			away.Add(1)
			longest = max(longest, time.Since(start))
			old.want(t, "done")
			if err := old.cmd.Wait(); err != nil {
				t.Errorf("the server: %v", err)
			}
			old = next
		}
		was := l.whole.Load()
		netlab.Eventually(t, patience, "the last serves", func() bool { return l.whole.Load() > was+500 })
		stop()
		callers.Wait()
		old.cmd.Process.Signal(syscall.SIGTERM)
		old.want(t, "closed")
		old.want(t, "done")
		if len(l.troubles) > 0 {
			t.Errorf("%d requests failed while somebody listened, such as: %v", len(l.troubles), l.troubles[:min(5, len(l.troubles))])
		}
		_, server := lab.TimeWaits(t, addr)
		if server != 0 {
			t.Errorf("TIME_WAIT of the server: %d", server)
		}
		t.Logf("%d restarts, nobody listened for %v at most: %d responses whole, %d dials refused meanwhile, %d reset in the backlog, %d not served by Shutdown; TIME_WAIT of the server %d",
			restarts, longest, l.whole.Load(), l.between.Load(), l.backlog.Load(), l.unserved.Load(), server)
	})
}
