package netlab

import (
	"os"
	"strings"
	"testing"
)

func TestLeaksFindsNothing(t *testing.T) {
	check := Leaks(t)
	done := make(chan struct{})
	go func() { <-done }()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
	close(done)
	check()
}

func TestLeaksFindsAGoroutine(t *testing.T) {
	end := play(t, func(tb testing.TB) {
		check := leaksWithin(tb, 0)
		done := make(chan struct{})
		defer close(done)
		running := make(chan struct{})
		go leakedGoroutine(running, done)
		<-running // until then its stack does not name it
		check()
	})
	wantLeak(t, end, "leakedGoroutine")
}

func leakedGoroutine(running chan<- struct{}, done <-chan struct{}) {
	close(running)
	<-done
}

func TestLeaksFindsADescriptor(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		Missing(t, "/proc, to count descriptors in", "run on Linux")
	}
	end := play(t, func(tb testing.TB) {
		check := leaksWithin(tb, 0)
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		check()
	})
	wantLeak(t, end, os.DevNull)
}

func wantLeak(t *testing.T, end *fake, what string) {
	t.Helper()
	if said := end.said.String(); !end.failed || !strings.Contains(said, what) {
		t.Errorf("failed %v, and it does not name %s: %q", end.failed, what, said)
	}
}
