package pool

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// ping sends the HTTP/1.1 ping on a connection that the sweeper has taken for it.
func (c *conn) ping() {
	p := c.g.t.Ping
	req := c.ownRequest(http.MethodOptions, "*")
	if p.Path != "" {
		req = c.ownRequest(http.MethodHead, p.Path)
	}
	if err := c.ask(req, p); err != nil {
		if c.g.t.closed.Load() {
			c.tell(linger.Abandoned)
		} else {
			c.tell(linger.Broken) // nobody answers: the port is not to be held for it
		}
		c.abandonPing()
	}
}

// reasonHTTP2 returns why net/http has closed an HTTP/2 connection by itself,
// which it does not tell: nobody has answered a PING, and for that long nothing
// has come; else, if it had requests or just came to rest, the server has said
// GOAWAY, and the last of them is done. It returns "" if the server has closed
// the connection, or nobody knows.
func (c *conn) reasonHTTP2() string {
	if !c.h2 || c.nc == nil {
		return ""
	}
	switch silence, open := c.nc.Silence(); {
	case !open:
		return ""
	case c.pingAfter > 0 && silence >= c.pingAfter+c.g.t.cfg.any.HTTP2.PingTimeout/2:
		return metrics.Timeout
	}
	return metrics.GoAway
}

// askToClose asks the server to close a connection that has left the group, and
// lets net/http close it, which waits for the server.
func (c *conn) askToClose() {
	req := c.ownRequest(http.MethodOptions, "*")
	req.Close = true
	c.g.mu.Lock()
	c.streams++
	c.pending.Add(1)
	c.pinging = true
	c.g.mu.Unlock()
	c.life.Leave(c.reason)
	c.tell(linger.Owed) // net/http closes as soon as it has the answer
	if err := c.ask(req, c.g.t.Ping); err != nil {
		c.tell(linger.Abandoned)
	}
	c.cc.Close()
	c.onState()
}

// ask sends a request of the pool's own and reads its response.
func (c *conn) ask(req *http.Request, p PingConfig) error {
	if err := c.reserve(); err != nil {
		return nil // it has died and left by itself
	}
	ctx, cancel := context.WithTimeout(c.g.t.cfg.life, p.timeout())
	defer cancel()
	resp, err := c.cc.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err = io.CopyN(io.Discard, resp.Body, drainBytes); err != io.EOF {
		return err
	}
	c.returned(time.Time{})
	return nil
}

// ownRequest returns a request of the pool's own to the connection's server.
func (c *conn) ownRequest(method, path string) *http.Request {
	k := c.g.key
	u := &url.URL{Scheme: k.Scheme, Host: c.g.target, Path: path}
	if path == "*" {
		u.Path, u.Opaque = "", "*"
	}
	return &http.Request{Method: method, URL: u, Host: c.g.target, Header: make(http.Header)}
}

// abandonPing closes a connection whose ping has failed.
func (c *conn) abandonPing() {
	c.g.mu.Lock()
	c.g.leaveLocked(c, metrics.Timeout)
	c.g.mu.Unlock()
	c.cc.Close()
	c.onState()
}
