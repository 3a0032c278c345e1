package main

import (
	"context"
	"net/http"
	"time"

	"github.com/lastack/lastack/pool"
)

// firstStep is the service on the day that it changes: the Transport that it
// has becomes the Base of a pool, and nothing else is touched. Every setting of
// Base counts, so the pool still keeps 20 connections and closes the rest; but
// nothing that it closes is in TIME_WAIT.
type firstStep struct {
	*before
	pool *pool.Transport
}

func newFirstStep() *firstStep {
	p := &pool.Transport{Base: capped()}
	return &firstStep{newBefore(p), p}
}

func (f *firstStep) end(ctx context.Context) error {
	close(f.stop)
	return f.pool.Shutdown(ctx)
}

// after is what is left of it when everything that the pool does by itself has
// been deleted.
type after struct {
	client *http.Client
	pool   *pool.Transport
}

func newAfter() *after {
	p := &pool.Transport{
		Base:            tuned(),
		MaxConnsPerHost: maxCalls,         // in the place of (6)
		MaxAge:          10 * time.Minute, // in the place of (3)
	}
	return &after{&http.Client{Transport: p}, p}
}

func (a *after) call(ctx context.Context, url string) error {
	resp, err := get(ctx, a.client, url)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (a *after) end(ctx context.Context) error { return a.pool.Shutdown(ctx) }

// deleted is what after does without, and why.
const deleted = `
Deleted, and why:
  1  MaxIdleConns, MaxIdleConnsPerHost: connections rest as long as they are of use, not until they are the 21st
  2  an IdleConnTimeout below the server's: the pool learns the server's limit, and does not lend what is near it
  3  CloseIdleConnections by a ticker, to follow DNS: MaxAge replaces connections one by one, the new one first
  4  the retry of requests that met a dead connection: seen before the lease, or sent again where that is safe
  5  reading bodies to their end so that connections live: a body that is closed early is drained, off the caller
  6  the semaphore around calls: MaxConnsPerHost, with a fair queue that heeds the request's context
Kept: proxy, TLS, timeouts, the dialer: all that Base says of the protocol.
`
