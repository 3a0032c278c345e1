package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"

	"github.com/lastack/lastack/linger"
)

// A client is one connection to the server.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

func connect(ctx context.Context, dial dialFunc, address string) (*client, error) {
	c, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{c, bufio.NewReader(c)}, nil
}

var errOtherAnswer = errors.New("the server answers something else")

// ask sends a line and reads the answer.
func (c *client) ask(line string) error {
	if _, err := io.WriteString(c.conn, line); err != nil {
		return err
	}
	answer, err := c.in.ReadString('\n')
	if err == nil && answer != line {
		err = errOtherAnswer
	}
	return err
}

// leave says goodbye, and closes: Goodbye does both, and ends the connection in
// the best way, since it knows that the server has nothing more to say.
func (c *client) leave(ctx context.Context) error {
	_, err := linger.Goodbye(ctx, c.conn, func(conn net.Conn) error {
		if _, err := io.WriteString(conn, imDone); err != nil {
			return err
		}
		answer, err := bufio.NewReader(conn).ReadString('\n')
		if err == nil && answer != goodbye && answer != wereDone { // both may leave at once
			err = errOtherAnswer
		}
		return err
	})
	return err
}

// await waits for the server to leave, as a client at rest does, and closes.
func (c *client) await() error {
	line, err := c.in.ReadString('\n')
	if err == nil && line != wereDone {
		err = errOtherAnswer
	}
	// Everything has been answered, which only we know.
	if conn, ok := c.conn.(*linger.Conn); ok && err == nil {
		conn.Tell(linger.Complete)
	}
	return errors.Join(err, c.conn.Close())
}
