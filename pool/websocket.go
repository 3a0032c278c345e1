package pool

import (
	"io"
	"net/http"
	"strings"

	"github.com/lastack/lastack/linger"
)

// After a WebSocket's close handshake the server is to close first, and the
// client waits for that (RFC 6455 section 7.1.1), whoever has begun it. The
// libraries for WebSocket close at once, which leaves the TIME_WAIT to the
// client where it has answered the server's Close frame. So the pool looks for
// that frame, and has package linger wait.

// upgraded returns the response to an upgrade.
func (c *conn) upgraded(resp *http.Response) *http.Response {
	rwc, ok := resp.Body.(io.ReadWriteCloser)
	if ok && c.nc != nil && strings.EqualFold(resp.Header.Get("Upgrade"), "websocket") {
		resp.Body = &webSocket{rwc, c}
	}
	return resp
}

// A webSocket is the connection of a WebSocket, as its library has it.
type webSocket struct {
	io.ReadWriteCloser
	c *conn
}

// Write writes frames, and notes the one that ends the WebSocket.
func (w *webSocket) Write(p []byte) (int, error) {
	if isCloseFrame(p) {
		w.c.parted.Store(true) // before it is told: the pool may still have to let go of the connection
		w.c.tell(linger.SaidGoodbye)
	}
	return w.ReadWriteCloser.Write(p)
}

// CloseWrite is net/http's.
func (w *webSocket) CloseWrite() error {
	return w.ReadWriteCloser.(interface{ CloseWrite() error }).CloseWrite()
}

// isCloseFrame reports whether p is a client's Close frame and nothing else
// (RFC 6455 sections 5.2 and 5.5.1). A library that writes it otherwise is not
// helped; and what only looks like one costs a wait, and nothing is lost.
func isCloseFrame(p []byte) bool {
	const (
		final, opClose = 0x80, 0x8
		masked, key    = 0x80, 4
	)
	return len(p) >= 2+key && p[0] == final|opClose && p[1]&masked != 0 &&
		p[1]&^masked <= 125 && len(p) == 2+key+int(p[1]&^masked)
}
