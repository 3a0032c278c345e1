package linger

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
)

const goodbyes = 200

// A dialogue is a protocol with a goodbye of its own, between a client and a
// server that both use the functions given.
type dialogue struct {
	name   string
	policy Policy
	client func(ctx context.Context, c *Conn) (Ending, error)
	server func(ctx context.Context, c *Conn)

	want    []Ending // that the client may get
	wantErr error
	waits   bool // TIME_WAITs may be left
	bound   time.Duration
}

// done is the client's exchange: "I'm done", "goodbye".
func done(c net.Conn) error {
	if _, err := io.WriteString(c, "I'm done"); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, len("goodbye")))
	return err
}

// listen takes the client's word.
func listen(c net.Conn) { io.ReadFull(c, make([]byte, len("I'm done"))) }

// TestKernelGoodbye: the user's own goodbye, in either role, and peers that do
// not keep to it.
func TestKernelGoodbye(t *testing.T) {
	sayDone := func(ctx context.Context, c *Conn) (Ending, error) { return Goodbye(ctx, c, done) }
	untilEOF := func(ctx context.Context, c *Conn) {
		io.Copy(io.Discard, c)
		c.Close()
	}
	for _, d := range []dialogue{{
		name:   "client leaves",
		client: sayDone,
		server: func(ctx context.Context, c *Conn) {
			listen(c)
			io.WriteString(c, "goodbye")
			untilEOF(ctx, c)
		},
		want: []Ending{FinReset},
	}, {
		name: "server leaves",
		client: func(ctx context.Context, c *Conn) (Ending, error) {
			io.ReadFull(c, make([]byte, len("we're done")))
			return Goodbye(ctx, c, func(net.Conn) error { return nil })
		},
		server: func(ctx context.Context, c *Conn) {
			Goodbye(ctx, c, func(c net.Conn) error {
				_, err := io.WriteString(c, "we're done")
				return err
			})
		},
		want: []Ending{FinReset},
	}, {
		name:   "server leaves, the client stays",
		policy: Policy{Wait: 200 * time.Millisecond},
		client: func(ctx context.Context, c *Conn) (Ending, error) {
			io.Copy(io.Discard, c) // until the server resets
			c.Close()
			return Lost, nil
		},
		server: func(ctx context.Context, c *Conn) {
			e, err := Goodbye(ctx, c, func(c net.Conn) error {
				_, err := io.WriteString(c, "we're done")
				return err
			})
			if e != Aborted || err != nil {
				panic(e.String())
			}
		},
		want: []Ending{Lost},
	}, {
		name:   "the peer never answers",
		client: sayDone,
		server: untilEOF,
		want:   []Ending{Unknown, LocalFirst}, wantErr: os.ErrDeadlineExceeded,
		waits: true, bound: 500 * time.Millisecond,
	}, {
		name:   "the peer never answers, abort",
		policy: Policy{Fallback: Abort},
		client: sayDone,
		server: untilEOF,
		want:   []Ending{Unknown, Aborted}, wantErr: os.ErrDeadlineExceeded,
		bound: 500 * time.Millisecond,
	}, {
		name:   "the peer answers late",
		client: sayDone,
		server: func(ctx context.Context, c *Conn) {
			listen(c)
			<-time.After(300 * time.Millisecond)
			io.WriteString(c, "goodbye")
			untilEOF(ctx, c)
		},
		want: []Ending{FinReset},
	}, {
		name:   "the peer floods",
		client: sayDone,
		server: func(ctx context.Context, c *Conn) {
			listen(c)
			io.WriteString(c, "goodbye")
			for {
				if _, err := c.Write(make([]byte, 64<<10)); err != nil {
					c.Close()
					return
				}
			}
		},
		want: []Ending{Aborted, FinReset},
	}, {
		name:   "the peer closes instead",
		client: sayDone,
		server: func(ctx context.Context, c *Conn) {
			listen(c)
			c.Tell(Abandoned)
			c.tcpConn.Close()
		},
		want: []Ending{PeerFirst}, wantErr: io.EOF,
	}, {
		name:   "the peer says goodbye and closes",
		policy: Policy{SparePeer: true},
		client: func(ctx context.Context, c *Conn) (Ending, error) {
			return Goodbye(ctx, c, func(c net.Conn) error {
				done(c)
				_, err := c.Read(make([]byte, 1))
				if err == io.EOF {
					err = nil
				}
				return err
			})
		},
		server: func(ctx context.Context, c *Conn) {
			listen(c)
			io.WriteString(c, "goodbye")
			c.tcpConn.Close()
		},
		want: []Ending{PeerFirst},
	}} {
		t.Run(d.name, func(t *testing.T) {
			netlab.Run(t, func(lab *netlab.Lab) { d.hold(t, lab) })
		})
	}
}

// hold has the dialogue on many connections and checks what the kernel keeps.
func (d dialogue) hold(t *testing.T, lab *netlab.Lab) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if d.bound > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.bound)
		defer cancel()
	}
	serverSide, clientSide := &Closer{Policy: d.policy}, &Closer{Policy: d.policy}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { d.server(t.Context(), serverSide.Conn(c.(*net.TCPConn))) })
		}
	})
	var clients sync.WaitGroup
	for range goodbyes {
		clients.Go(func() {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			got, err := d.client(ctx, clientSide.Conn(c.(*net.TCPConn)))
			if !errors.Is(err, d.wantErr) {
				t.Errorf("got error %v, want %v", err, d.wantErr)
			}
			if slices.Contains(d.want, got) {
				return
			}
			t.Errorf("ended %v, want one of %v", got, d.want)
		})
	}
	clients.Wait()
	l.Close()
	wg.Wait()
	for _, cl := range []*Closer{clientSide, serverSide} {
		if err := cl.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	addr := netip.MustParseAddrPort(l.Addr().String())
	lab.Settle(t, addr, 10*time.Second)
	client, server := lab.TimeWaits(t, addr)
	t.Logf("TIME_WAIT of %d connections: client %d, server %d", goodbyes, client, server)
	if !d.waits && d.wantErr == nil && client+server != 0 {
		t.Errorf("TIME_WAIT: client %d, server %d, want none", client, server)
	}
	if !d.waits && client != 0 {
		t.Errorf("the client has %d TIME_WAIT", client)
	}
}
