package linger

import (
	"io"
	"net"
	"runtime"
	"testing"
	"time"
)

// A connection that was handed on by its descriptor, as to another process, is
// not touched when the first owner closes his.
func TestCloseAfterFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a socket can't be duplicated")
	}
	for _, served := range []bool{true, false} {
		got := new(endings)
		cl := &Closer{Policy: Policy{Fallback: Abort}, Ended: got.add}
		if served {
			cl.Policy.Fallback = FinThenReset
		}
		first, client := accepted(t, cl)
		first.served = served
		first.PresetFinReset()
		say(t, first, "hello")
		hear(t, client, "hello")
		f, err := first.File()
		if err != nil {
			t.Fatal(err)
		}
		first.Close()
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		say(t, client, "question")
		hear(t, c, "question")
		const size = 4 << 20
		deadline := time.Now().Add(20 * time.Second)
		c.SetDeadline(deadline)
		client.SetDeadline(deadline)
		go func() {
			c.Write(make([]byte, size))
			c.Close()
		}()
		if n, err := io.Copy(io.Discard, client); n != size || err != nil {
			t.Errorf("served %t: %d bytes of %d came, %v", served, n, size, err)
		}
		got.wantOne(t, cl, Unknown)
	}
}
