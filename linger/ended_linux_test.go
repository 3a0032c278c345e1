package linger

import (
	"io"
	"sync"
	"testing"

	"github.com/lastack/lastack/internal/sockdiag"
)

// TestEndedIsClosed: when a connection is reported, no descriptor of it is open
// any more, also where the peer closes while Close is under way and a reader is
// still on its way out.
func TestEndedIsClosed(t *testing.T) {
	diag, err := sockdiag.Open()
	if err != nil {
		t.Skip(err)
	}
	defer diag.Close()
	held := 0
	for range 1000 {
		cl := new(Closer)
		c, peer := pair(t, cl)
		cl.Ended = func(Ending) {
			s, found, err := diag.Find(c.local, c.remote)
			if err != nil {
				t.Error(err)
			}
			if found && s.Inode != 0 {
				held++
			}
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { io.Copy(io.Discard, c) })
		}
		wg.Go(func() {
			peer.Read(make([]byte, 3))
			peer.Close()
		})
		c.Tell(Owed)
		say(t, c, "bye")
		c.Close()
		wg.Wait()
		if err := cl.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if held != 0 {
		t.Errorf("%d of 1000 connections were still open when they were reported", held)
	}
}
