package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// A scene is something that happens to channels in programs.
type scene struct {
	title string // takes the number of channels, or of calls
	site  siteConfig
	play  func(ctx context.Context, st *stage) error
}

// A stage is where a client plays a scene.
type stage struct {
	client client
	target string
	creds  credentials.TransportCredentials
	n      int          // channels, or calls
	stop   func() error // has the server shut down in peace

	took time.Duration // by what the scene is about
}

// The length of an answer of the scene "crowd", and how many calls the server
// allows on a connection.
const (
	crowdDelay   = 100 * time.Millisecond
	crowdStreams = 100
)

var scenes = []scene{
	{
		title: "%d channels of short life: each is closed after a call",
		play:  shortLives,
	},
	{
		title: "%d channels at rest, and the server shuts down in peace (GracefulStop)",
		play:  shutdown,
	},
	{
		title: "%d calls at once, of a server that allows 100 on a connection and takes 100 ms",
		site:  siteConfig{Streams: crowdStreams, Delay: crowdDelay},
		play:  crowd,
	},
}

// atOnce bounds what the scenes do at the same time where that does not matter.
const atOnce = 8

func shortLives(ctx context.Context, st *stage) error {
	start := time.Now()
	defer func() { st.took = time.Since(start) }()
	return each(ctx, st.n, atOnce, func(i int) error {
		c, err := st.client.open(st.target, st.creds)
		if err != nil {
			return err
		}
		return errors.Join(greet(ctx, c, i), c.Close())
	})
}

func shutdown(ctx context.Context, st *stage) error {
	channels := make([]channel, st.n)
	defer func() {
		for _, c := range channels {
			if c != nil {
				c.Close()
			}
		}
	}()
	err := each(ctx, st.n, atOnce, func(i int) (err error) {
		if channels[i], err = st.client.open(st.target, st.creds); err != nil {
			return err
		}
		return greet(ctx, channels[i], i)
	})
	if err != nil {
		return err
	}
	start := time.Now()
	defer func() { st.took = time.Since(start) }()
	return st.stop()
}

func crowd(ctx context.Context, st *stage) error {
	c, err := st.client.open(st.target, st.creds)
	if err != nil {
		return err
	}
	defer c.Close()
	// The first round warms up: a pool finds out there what it needs.
	for range 2 {
		start := time.Now()
		if err := each(ctx, st.n, st.n, func(i int) error { return greet(ctx, c, i) }); err != nil {
			return err
		}
		st.took = time.Since(start)
	}
	return nil
}

// greet makes a call and looks at the answer.
func greet(ctx context.Context, c channel, i int) error {
	name := fmt.Sprintf("caller %d", i)
	greeting, err := hello(ctx, c, name)
	if want := "Hello, " + name + "!"; err == nil && greeting != want {
		err = fmt.Errorf("the greeter says %q, not %q", greeting, want)
	}
	return err
}

// each calls f for 0 to n-1, so many at once, until one fails or ctx ends, and
// returns an error of theirs.
func each(ctx context.Context, n, atOnce int, f func(i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan int)
	var wg sync.WaitGroup
	for range min(n, atOnce) {
		wg.Go(func() {
			for i := range work {
				if err := f(i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		select {
		case work <- i:
		case <-ctx.Done():
		}
	}
	close(work)
	wg.Wait()
	return context.Cause(ctx)
}
