package main

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/linger"
)

// A kind is a way to make connections for go-redis.
type kind struct {
	name string
	dial func(ctx context.Context, network, address string) (net.Conn, error) // nil: go-redis's own

	// end waits until closed connections have come to their end; nil: not to be known.
	end func(context.Context) error
}

// client makes a client whose connections are of the kind: Options.Dialer is
// all that a program changes.
func (k kind) client(address string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: address, Dialer: k.dial})
}

func kinds() []kind {
	plain := &dialer.Dialer{}

	// The Dialer cannot know what Redis is. Whoever does can tell it more: a
	// client that has read all answers needs nothing any more, and neither
	// does the server, so a reset does no harm.
	abort := &dialer.Dialer{Linger: &linger.Closer{Policy: linger.Policy{Fallback: linger.Abort}}}

	// Or it can say goodbye in the protocol's own words.
	quit := &quitter{}

	return []kind{
		{"go-redis alone", nil, nil},
		{"over a dialer.Dialer", plain.DialContext, plain.Shutdown},
		{"  with Fallback: linger.Abort", abort.DialContext, abort.Shutdown},
		{"  with Redis's own goodbye, QUIT", quit.DialContext, quit.dialer.Shutdown},
	}
}

// A quitter makes connections that end by QUIT: the server answers, and closes
// first.
type quitter struct{ dialer dialer.Dialer }

func (q *quitter) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := q.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &quitConn{c}, nil
}

// quitWait bounds the goodbye, which Close waits for: on a connection that is
// at rest the answer takes one round trip.
const quitWait = time.Second

type quitConn struct{ net.Conn }

func (c *quitConn) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), quitWait)
	defer cancel()
	c.SetDeadline(time.Time{}) // of go-redis's last command
	_, err := linger.Goodbye(ctx, c.Conn, quit)
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil // closed all the same
}

var errNoGoodbye = errors.New("the server answers something else than OK")

// quit is the exchange. Once the server has answered it closes, for which this
// side waits: two FINs that cross would leave a TIME_WAIT on both.
func quit(c net.Conn) error {
	if _, err := c.Write([]byte("*1\r\n$4\r\nQUIT\r\n")); err != nil {
		return err
	}
	answer, err := io.ReadAll(c)
	if err == nil && string(answer) != "+OK\r\n" {
		err = errNoGoodbye
	}
	return err
}
