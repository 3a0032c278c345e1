// Command customproto is a protocol of its own over TCP, which neither a pool nor
// the dialer knows, with a goodbye of its own: its client ends connections by
// linger.Goodbye and dialer.Dialer, its server by linger.Closer.Listener.
//
//	go run ./examples/customproto
//
// It prints what the kernel counts, and the same for net.Dialer, a bare listener
// and a plain Close.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/examples/internal/lab"
	"github.com/lastack/lastack/linger"
)

const (
	conns = 200
	asks  = 3                      // on each connection
	wait  = 300 * time.Millisecond // for a client that has been told goodbye
)

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// A scene is a way for connections to end.
type scene struct {
	name   string
	ours   bool
	server bool // it is the one that leaves
	client func(context.Context, *client) error
}

var scenes = []scene{
	{"the client leaves: closes", false, false, func(_ context.Context, c *client) error { return c.conn.Close() }},
	{"  says I'm done", true, false, func(ctx context.Context, c *client) error { return c.leave(ctx) }},
	{"the server leaves: closes", false, true, func(_ context.Context, c *client) error { return c.await() }},
	{"  says we're done", true, true, func(_ context.Context, c *client) error { return c.await() }},
	{"  to clients that do not close", true, true, func(context.Context, *client) error { return nil }},
}

func main() { lab.Main(run) }

func run(ctx context.Context, k *lab.Kernel) error {
	lines := [][]string{
		{"", "", "", "TIME_WAIT", "TIME_WAIT", "the server's"},
		{"", "connections", "answers", "clients", "server", "shutdown took"},
	}
	for _, sc := range scenes {
		l, err := play(ctx, k, sc)
		if err != nil {
			return fmt.Errorf("%s: %w", sc.name, err)
		}
		lines = append(lines, l)
	}
	var b bytes.Buffer
	lab.Table(&b, lines)
	_, err := b.WriteTo(os.Stdout)
	return err
}

func play(ctx context.Context, k *lab.Kernel, sc scene) ([]string, error) {
	l, err := lab.Listen()
	if err != nil {
		return nil, err
	}
	d := &dialer.Dialer{}
	dial, closer := d.DialContext, &linger.Closer{Policy: linger.Policy{Wait: wait}}
	if !sc.ours {
		dial, closer = new(net.Dialer).DialContext, nil
	}
	s := start(l, closer)

	clients := make([]*client, conns)
	errs := make([]error, conns)
	var asked, ended sync.WaitGroup // clients that have their answers, and those that have ended
	asked.Add(conns)
	for i := range conns {
		ended.Go(func() {
			err := func() (err error) {
				defer asked.Done()
				if clients[i], err = connect(ctx, dial, l.Addr().String()); err != nil {
					return err
				}
				for n := range asks {
					err = errors.Join(err, clients[i].ask(fmt.Sprintf("%d: question %d\n", i, n)))
				}
				return err
			}()
			if err == nil {
				err = sc.client(ctx, clients[i])
			}
			errs[i] = err
		})
	}
	asked.Wait()
	if !sc.server {
		ended.Wait()
	}
	endCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	began := time.Now()
	err = s.shutdown(endCtx)
	took := time.Since(began)
	ended.Wait()
	for _, c := range clients {
		if c != nil {
			c.conn.Close() // those that never close would have, at last
		}
	}
	if err := errors.Join(append(errs, err, d.Shutdown(endCtx))...); err != nil {
		return nil, err
	}
	c, err := k.Count(ctx, l.AddrPort())
	return []string{sc.name, strconv.Itoa(l.Accepted()), strconv.Itoa(conns * asks), c.Here, c.There,
		took.Round(time.Millisecond).String()}, err
}
