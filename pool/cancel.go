package pool

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
)

// CancelRequest cancels a request that waits for a connection, or is under way
// on an HTTP/1.1 connection, which is closed.
//
// Deprecated: It takes a look at every connection, and http.Transport's is
// deprecated too: use [http.Request.WithContext] to create a request with a
// cancelable context.
func (t *Transport) CancelRequest(req *http.Request) {
	select {
	case <-req.Cancel:
		return // that does it, and http.Client calls with every timeout
	default:
	}
	for _, g := range t.allGroups() {
		g.cancelRequest(req)
	}
}

// cancelRequest cancels the request if it is the group's.
func (g *group) cancelRequest(req *http.Request) {
	var under []*exchange
	g.mu.Lock()
	for w := g.waiters.head; w != nil; {
		next := w.next
		if w.req == req {
			g.waiters.remove(w)
			g.disownLocked(w)
			w.ready <- result{err: errCanceledWaiting()}
		}
		w = next
	}
	for c := range g.live {
		if x := c.current.Load(); x != nil && x.req == req {
			under = append(under, x)
		}
	}
	g.dialLocked()
	g.mu.Unlock()
	for _, x := range under {
		x.asked.Store(true)
		x.cancel()
	}
}

// The errors of a request that was cancelled by its Cancel channel or by
// CancelRequest. net/http does not export them, and programs compare with what
// they have seen: so they are had from net/http, by cancelling such requests.
var (
	errCanceled        = sync.OnceValue(func() error { return cancelOne("net/http: request canceled", true) })
	errCanceledWaiting = sync.OnceValue(func() error {
		return cancelOne("net/http: request canceled while waiting for connection", false)
	})
)

// cancelOne returns net/http's error for a request that is cancelled: while it
// waits for a response, or for its connection. If that is none with the words
// that are expected, it is one of our own.
func cancelOne(words string, connected bool) error {
	cancel, over := make(chan struct{}), make(chan struct{})
	tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		if !connected {
			close(cancel)
			<-over
			return nil, net.ErrClosed
		}
		go func() {
			io.ReadFull(server, make([]byte, 1))
			close(cancel)
		}()
		return client, nil
	}}
	defer close(over)
	req := &http.Request{Method: http.MethodGet, Header: http.Header{}, URL: &url.URL{Scheme: "http", Host: "invalid."}, Cancel: cancel}
	if _, err := tr.RoundTrip(req); err != nil && err.Error() == words {
		return err
	}
	return errors.New(words)
}
