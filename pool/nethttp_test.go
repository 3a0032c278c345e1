package pool

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lastack/lastack/metrics"
)

// What programs know of http.Transport, and may rely on.

// A dial goes to the request that it began for, while that waits: its own dial
// may hang, but those who come later have theirs.
func TestDialServesItsRequest(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		type name struct{}
		release := map[string]chan bool{"first": make(chan bool), "second": make(chan bool)}
		base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			<-release[ctx.Value(name{}).(string)]
			return l.DialContext(ctx, network, addr)
		}
		tr := &Transport{Base: base}
		type answer struct {
			to   string
			resp *http.Response
		}
		answers := make(chan answer, 2)
		for _, who := range []string{"first", "second"} {
			go func() {
				req, _ := http.NewRequestWithContext(context.WithValue(t.Context(), name{}, who), http.MethodGet, pipeURL, nil)
				resp, err := tr.RoundTrip(req)
				if err != nil {
					t.Error(err)
				}
				answers <- answer{who, resp}
			}()
			synctest.Wait()
		}
		close(release["second"])
		a := <-answers
		if a.to != "second" {
			t.Errorf("the connection dialled for the second request went to the %s", a.to)
		}
		close(release["first"])
		b := <-answers
		a.resp.Body.Close()
		b.resp.Body.Close()
		shutdown(t, tr)
	})
}

// Without keep-alives a connection is dialled for each request, and closed when
// that has gone meanwhile.
func TestDialOfNobodyWithoutKeepAlives(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		dials, release := 0, make(chan bool)
		base.DisableKeepAlives = true
		base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials++; dials == 1 {
				<-release
			}
			return l.DialContext(ctx, network, addr)
		}
		tr := &Transport{Base: base}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			synctest.Wait()
			cancel()
		}()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, pipeURL, nil)
		if _, err := tr.RoundTrip(req); err != context.Canceled {
			t.Errorf("got %v, want Canceled", err)
		}
		close(release)
		synctest.Wait()
		if s := tr.Stats(); s.Resting != 0 || s.Reasons[metrics.MaxIdle] != 1 {
			t.Errorf("the connection is not closed: %v", s)
		}
		get(t, tr, pipeURL)
		if dials != 2 {
			t.Errorf("%d dials, want one for each request", dials)
		}
		shutdown(t, tr)
	})
}

// With MaxIdleConnsPerHost it is the connection that comes last that leaves.
func TestNewestLeaves(t *testing.T) {
	srv, base := newServer(t, "http", hello)
	base.MaxIdleConnsPerHost = 1
	tr := &Transport{Base: base}
	defer shutdown(t, tr)
	use := func() (net.Conn, func()) {
		var c net.Conn
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { c = i.Conn }})
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		return c, func() { io.Copy(io.Discard, resp.Body); resp.Body.Close() }
	}
	c1, done1 := use()
	c2, done2 := use()
	done2()
	done1()
	got, done := use()
	defer done()
	if got != c2 {
		t.Errorf("the next request got %v; want %v that had come to rest first, not %v", got.LocalAddr(), c2.LocalAddr(), c1.LocalAddr())
	}
}

// http.Client looks for this type, without unwrapping, to say what is wrong.
func TestHTTPServerForHTTPSRequest(t *testing.T) {
	srv, base := newServer(t, "http", hello)
	tr := &Transport{Base: base}
	defer shutdown(t, tr)
	req, _ := http.NewRequest(http.MethodGet, strings.Replace(srv.URL, "http:", "https:", 1), nil)
	if _, err := tr.RoundTrip(req); !isRecordHeaderError(err) {
		t.Errorf("RoundTrip gave %T, want a tls.RecordHeaderError", err)
	}
	_, err := (&http.Client{Transport: tr}).Do(req)
	if err == nil || !strings.Contains(err.Error(), http.ErrSchemeMismatch.Error()) {
		t.Errorf("Client.Do gave %v, want %v", err, http.ErrSchemeMismatch)
	}
}

func isRecordHeaderError(err error) bool {
	_, ok := err.(tls.RecordHeaderError)
	return ok
}

// A request that finds a connection overdue has it leave now, however long the
// sweeper would have taken.
func TestOverdueLeavesWhenFound(t *testing.T) {
	inBubble(t, hello, func(t *testing.T, base *http.Transport, l *pipeListener) {
		const idle = sweepGap / 10
		tr := &Transport{Base: base, IdleTimeout: idle}
		// Two connections come to rest, half of idle apart.
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, pipeURL, nil)
		first, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		get(t, tr, pipeURL)
		time.Sleep(idle / 2)
		io.Copy(io.Discard, first.Body)
		first.Body.Close()
		time.Sleep(idle * 3 / 4) // the sweeper has come for one, and is in no hurry
		wantReason(t, tr, metrics.IdleTimeout, 1)
		time.Sleep(idle)
		get(t, tr, pipeURL)
		synctest.Wait()
		wantReason(t, tr, metrics.IdleTimeout, 2)
		shutdown(t, tr)
	})
}
