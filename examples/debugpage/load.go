package main

import (
	"context"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/lastack/lastack/pool"
)

// The load: so many requests a second to each server, a little more and a
// little less by turns. It is open: requests come when they come, however long
// the others take.
const (
	meanRate    = 60.0
	swing       = 50.0
	period      = 90 * time.Second
	tick        = 50 * time.Millisecond
	mostAtATime = 200
)

// work calls the servers until ctx ends, and shuts the pool down.
func work(ctx context.Context, transport *pool.Transport, trouble bool) {
	quick := httptest.NewServer(answerAfter(5 * time.Millisecond))
	defer quick.Close()
	slow := httptest.NewUnstartedServer(answerAfter(60 * time.Millisecond))
	slow.Config.IdleTimeout = 5 * time.Second // it is the first to close
	slow.Start()
	defer slow.Close()

	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	places := make(chan struct{}, mostAtATime)
	var calls sync.WaitGroup
	start, sent := time.Now(), 0.0
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	for n := 0; ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case now := <-ticks.C:
			for due := requestsAfter(now.Sub(start)); sent < due && len(places) < mostAtATime; sent++ {
				n++
				url := quick.URL
				if n%5 == 0 {
					url = slow.URL
				}
				forget := trouble && n%500 == 0
				places <- struct{}{}
				calls.Go(func() {
					defer func() { <-places }()
					call(context.WithoutCancel(ctx), client, url, forget)
				})
			}
		}
	}
	calls.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	transport.Shutdown(ctx)
}

// requestsAfter is how many requests are due after a time.
func requestsAfter(d time.Duration) float64 {
	w := 2 * math.Pi / period.Seconds()
	return meanRate*d.Seconds() + swing/w*(1-math.Cos(w*d.Seconds()))
}

func answerAfter(d time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			io.WriteString(w, "hello")
		case <-r.Context().Done():
		}
	})
}

// call makes one request. What is to go wrong shows on the page.
func call(ctx context.Context, client *http.Client, url string, forget bool) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	resp, err := client.Do(request)
	if err != nil {
		return
	}
	if forget {
		return // as a program that returns early and closes nothing
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
}
