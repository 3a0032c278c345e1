package main

import (
	"fmt"
	"os"
	"time"
)

const progressEvery = 200 * time.Millisecond

// showProgress keeps a line on a terminal up to date until stop is called,
// which removes it. Elsewhere than on a terminal it does nothing.
func showProgress(f *os.File, title string, total int, done func() int) (stop func()) {
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return func() {}
	}
	quit, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			fmt.Fprintf(f, "\r\x1b[K%s: %d of %d requests", title, done(), total)
			select {
			case <-tick.C:
			case <-quit:
				fmt.Fprint(f, "\r\x1b[K")
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-finished
	}
}
