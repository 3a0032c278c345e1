package pool

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestErrors: what a request fails with is found through http.Client by type, by
// cause and by whether it is a timeout, as with http.Transport.
func TestErrors(t *testing.T) {
	var hang holding
	hang.gate = make(chan struct{})
	defer close(hang.gate)
	mux := http.NewServeMux()
	mux.Handle("/hang", &hang)
	mux.HandleFunc("/reset", func(w http.ResponseWriter, r *http.Request) {
		c, _, _ := w.(http.Hijacker).Hijack()
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	})
	mux.HandleFunc("/eof", func(w http.ResponseWriter, r *http.Request) {
		c, _, _ := w.(http.Hijacker).Hijack()
		c.Close()
	})
	mux.Handle("/", hello)
	srv, base := newServer(t, "http", mux)
	base.ResponseHeaderTimeout = 50 * time.Millisecond
	refused := closedPort(t)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	why := errors.New("why")
	for _, tt := range []struct {
		name    string
		url     string
		ctx     func(context.Context) (context.Context, context.CancelFunc)
		post    bool
		is      error // or nil
		op      string
		reused  bool
		timeout bool
	}{
		{name: "refused", url: refused, is: syscall.ECONNREFUSED, op: "dial"},
		{name: "unknown host", url: "http://host.invalid:1/", op: "dial"},
		{name: "reset", url: srv.URL + "/reset", is: syscall.ECONNRESET, op: "roundtrip"},
		{name: "reset, reused", url: srv.URL + "/reset", post: true, is: syscall.ECONNRESET, op: "roundtrip", reused: true},
		{name: "closed", url: srv.URL + "/eof", is: io.EOF},
		{name: "header timeout", url: srv.URL + "/hang", op: "roundtrip", timeout: true},
		{name: "cancelled before", url: srv.URL, is: context.Canceled,
			ctx: func(context.Context) (context.Context, context.CancelFunc) { return ended, cancel }},
		{name: "deadline", url: srv.URL + "/hang", is: context.DeadlineExceeded, timeout: true,
			ctx: func(c context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(c, 10*time.Millisecond)
			}},
		{name: "cause", url: srv.URL + "/hang", is: why,
			ctx: func(c context.Context) (context.Context, context.CancelFunc) {
				c, cancel := context.WithCancelCause(c)
				cancel(why)
				return c, func() { cancel(nil) }
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := &Transport{Base: base.Clone()}
			defer shutdown(t, tr)
			if tt.reused {
				get(t, tr, srv.URL)
			}
			ctx := t.Context()
			if tt.ctx != nil {
				c, cancel := tt.ctx(ctx)
				defer cancel()
				ctx = c
			}
			method := http.MethodGet
			if tt.post {
				method = http.MethodPost
			}
			req, err := http.NewRequestWithContext(ctx, method, tt.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = (&http.Client{Transport: tr}).Do(req)
			ue, ok := errors.AsType[*url.Error](err)
			if !ok {
				t.Fatalf("%v is no *url.Error", err)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v is not %v", err, tt.is)
			}
			if tt.is == io.EOF && ue.Err != io.EOF {
				t.Errorf("%#v, want io.EOF itself", ue.Err)
			}
			if ue.Timeout() != tt.timeout {
				t.Errorf("%v: Timeout() = %t", err, ue.Timeout())
			}
			pe, ok := errors.AsType[*Error](err)
			switch {
			case tt.op == "" && ok:
				t.Errorf("%v is a *pool.Error, want the cause itself", err)
			case tt.op != "" && (!ok || pe.Op != tt.op || pe.Reused != tt.reused || pe.Key.Scheme != "http"):
				t.Errorf("%#v, want a *pool.Error of %s, reused %t", ue.Err, tt.op, tt.reused)
			}

			_, want := (&http.Client{Transport: base}).Do(req.Clone(ctx))
			if !tt.reused && err.Error() != want.Error() && tt.op != "roundtrip" {
				t.Errorf("%q, stock says %q", err, want)
			}
		})
	}
	base.CloseIdleConnections()
}

// TestErrorsOfHandshakes: programs look for these without unwrapping.
func TestErrorsOfHandshakes(t *testing.T) {
	srv, base := newServer(t, "https", hello)
	base.TLSClientConfig = nil // without the test's root
	hangUp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer hangUp.Close()
	wg.Go(func() {
		for {
			c, err := hangUp.Accept()
			if err != nil {
				return
			}
			io.CopyN(io.Discard, c, 5) // the header of a record
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c)
			c.Close()
		}
	})
	tr := &Transport{Base: base.Clone()}
	defer shutdown(t, tr)
	defer base.CloseIdleConnections()
	for _, u := range []string{srv.URL, "https://" + hangUp.Addr().String()} {
		_, got := tr.RoundTrip(mustRequest(t, u))
		_, want := base.RoundTrip(mustRequest(t, u))
		if g, w := reflect.TypeOf(got), reflect.TypeOf(want); g != w || got.Error() != want.Error() {
			t.Errorf("%v %q, stock says %v %q", g, got, w, want)
		}
		if _, ok := got.(*tls.CertificateVerificationError); !ok && got != io.EOF {
			t.Errorf("%#v, want a *tls.CertificateVerificationError or io.EOF", got)
		}
	}
}

// TestNoPassword: nothing that shows a Key shows the proxy's password.
func TestNoPassword(t *testing.T) {
	k := Key{Scheme: "https", Address: "host:443", Proxy: "http://u:secret@host:1"}
	for _, v := range []any{
		k, &k, map[Key]int{k: 1}, Event{Kind: Born, Key: k}, &Event{Kind: Born, Key: k}, &Error{Op: "dial", Key: k, Err: io.ErrUnexpectedEOF},
		&Error{Op: "lease", Key: k, Err: ErrBusy},
	} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%T: %v", v, err)
		}
		var logged bytes.Buffer
		slog.New(slog.NewJSONHandler(&logged, nil)).Info("", "v", v)
		slog.New(slog.NewTextHandler(&logged, nil)).Info("", "v", v)
		for _, got := range []string{string(text), logged.String(), fmt.Sprintf("%v %+v", v, v)} {
			if strings.Contains(got, "secret") || strings.Contains(got, "ERROR") {
				t.Errorf("%T: %s", v, got)
			}
		}
		if !strings.Contains(string(text), "via http://u:xxxxx@host:1") {
			t.Errorf("%T: %s does not name the proxy", v, text)
		}
	}
}

// closedPort returns a URL at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String() + "/"
}

// TestForeignErrors: the errors of the user's own functions and connections come
// as they are.
func TestForeignErrors(t *testing.T) {
	own := errors.New("the user's own")
	tr := &Transport{Base: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, own }}}
	if _, err := tr.RoundTrip(mustRequest(t, "http://host/")); err != own {
		t.Errorf("%#v, want the dial function's error", err)
	}
	shutdown(t, tr)
}
