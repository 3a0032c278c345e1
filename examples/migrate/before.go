package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// before is the client as the service had it: all that one finds advised
// against TIME_WAIT and lost connections. The numbers are those of the list that
// the program prints.
type before struct {
	client *http.Client
	slots  chan struct{}
	stop   chan struct{}
}

// tuned are the settings that the service keeps: what it wants of the protocol.
func tuned() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 5 * time.Second,
	}
}

// capped has the service's limits as well.
func capped() *http.Transport {
	t := tuned()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 100, 20 // (1)
	t.IdleConnTimeout = 45 * time.Second            // (2)
	return t
}

func newBefore(t http.RoundTripper) *before {
	b := &before{
		client: &http.Client{Transport: t},
		slots:  make(chan struct{}, maxCalls), // (6)
		stop:   make(chan struct{}),
	}
	go b.refresh()
	return b
}

// refresh has new connections made now and then, so that they find a name's new
// addresses. (3)
func (b *before) refresh() {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.client.CloseIdleConnections()
		case <-b.stop:
			return
		}
	}
}

func (b *before) call(ctx context.Context, url string) error {
	b.slots <- struct{}{}
	defer func() { <-b.slots }()
	var err error
	for range 3 {
		if err = b.once(ctx, url); !dead(err) {
			return err
		}
	}
	return err
}

// dead reports whether a request met a connection that its server had closed. (4)
func dead(err error) bool {
	return err != nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		strings.Contains(err.Error(), "server closed idle connection"))
}

func (b *before) once(ctx context.Context, url string) error {
	resp, err := get(ctx, b.client, url)
	if err != nil {
		return err
	}
	io.Copy(io.Discard, io.LimitReader(resp.Body, 256<<10)) // (5)
	return resp.Body.Close()
}

func (b *before) end(context.Context) error {
	close(b.stop)
	b.client.CloseIdleConnections()
	return nil
}
