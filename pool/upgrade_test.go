package pool

import (
	"context"
	"io"
	"net/http"
	"testing"
)

// echoUpgrade upgrades a connection to one that echoes.
var echoUpgrade = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	c, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	io.Copy(c, rw)
})

// TestUpgradeOutlivesContext: the request's context may end as soon as the
// connection is the caller's, as in a dial function that cancels on return.
func TestUpgradeOutlivesContext(t *testing.T) {
	srv, base := newServer(t, "https", echoUpgrade)
	tr := &Transport{Base: base}
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "echo")
		resp, err := tr.RoundTrip(req)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		rwc := resp.Body.(io.ReadWriteCloser)
		io.WriteString(rwc, "hello")
		if _, err := io.ReadFull(rwc, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		rwc.Close()
	}
	shutdownQuietly(t, tr)
}
