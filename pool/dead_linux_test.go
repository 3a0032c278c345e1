package pool

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/sockdiag"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// An outage is a connection whose packets are dropped from some moment on,
// without a word to either side.
type outage struct {
	name     string
	protos   []string
	tune     func(*Transport)
	inFlight string        // the request under way when the path dies, if any
	late     string        // the one sent after that, if any
	found    time.Duration // how long it may take to be found, by the settings
	freed    time.Duration // how long the kernel may still hold the port
	cancel   bool          // the request is cancelled
	fails    bool          // it is not sent again
}

const (
	deadPing        = 300 * time.Millisecond
	deadPingWait    = 300 * time.Millisecond
	deadUserTimeout = time.Second
	deadKeepAlive   = time.Second

	// deadOrphan is Policy.Wait, and what linger adds to it for an orphan.
	deadOrphan = 200*time.Millisecond + 3*time.Second

	// slack is how much longer than it should everything may take on a machine
	// that is busy with something else. (An orphan that nobody sees to stays for
	// more than 100 s.)
	slack = 10
)

// TestKernelBlackHole: a connection whose path has died is found and left within
// the time configured, requests go elsewhere, and nothing of it stays.
func TestKernelBlackHole(t *testing.T) {
	ping := func(tr *Transport) {
		tr.Ping = PingConfig{Interval: deadPing, Timeout: deadPingWait, HTTP1: true}
	}
	user := func(tr *Transport) {
		tr.Dialer.UserTimeout = deadUserTimeout
		tr.Dialer.Net.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: deadKeepAlive, Interval: deadKeepAlive, Count: 9}
	}
	http2 := []string{"h2", "h2c"}
	const pinged, probed = deadPing + deadPingWait, 2*deadKeepAlive + deadUserTimeout
	for _, o := range []outage{
		{name: "HTTP2 at rest", protos: http2, tune: ping, found: pinged},
		{name: "HTTP2 busy", protos: http2, tune: ping, inFlight: "GET /once", found: pinged},
		{name: "HTTP2 busy, POST", protos: http2, tune: ping, inFlight: "POST /once", found: pinged, fails: true},
		{name: "HTTP2 in mid-response", protos: http2, tune: ping, inFlight: "GET /half", found: pinged, fails: true},
		{name: "HTTP2, late request", protos: http2, tune: ping, late: "GET /", found: pinged},
		{name: "HTTP1 at rest, ping", protos: http1, tune: ping, found: pinged},
		{name: "HTTP1 at rest, TCP keep-alive", protos: http1, tune: user, found: probed},
		{name: "HTTP1 busy", protos: http1, tune: user, inFlight: "GET /once", found: probed},
		{name: "HTTP1 busy, POST", protos: http1, tune: user, inFlight: "POST /once", found: probed, fails: true},
		{name: "HTTP1, late request", protos: http1, tune: user, late: "GET /", found: deadUserTimeout},
		{name: "HTTP1 cancelled", protos: http1, inFlight: "GET /once", freed: deadOrphan, cancel: true, fails: true},
		{name: "HTTP1, late request cancelled", protos: http1, late: "GET /", freed: deadOrphan, cancel: true, fails: true},
	} {
		for _, proto := range o.protos {
			t.Run(strings.ReplaceAll(o.name, " ", "_")+"/"+proto, func(t *testing.T) {
				t.Parallel() // it mostly waits
				netlab.Run(t, func(lab *netlab.Lab) { o.happen(t, lab, proto, proto == o.protos[0]) })
			})
		}
	}
}

// happen has the outage happen to the pool and, to compare, to stock net/http,
// as far as it has the settings.
func (o *outage) happen(t *testing.T, lab *netlab.Lab, proto string, compare bool) {
	h := &onceHandler{arrived: make(chan struct{}, 10)}
	srv, base := newServer(t, proto, h)
	defer srv.CloseClientConnections()
	tr := &Transport{Base: base, Dialer: &dialer.Dialer{
		Linger: &linger.Closer{Policy: linger.Policy{Wait: 200 * time.Millisecond}},
	}}
	if o.tune != nil {
		o.tune(tr)
	}
	stock := base.Clone()
	stock.DialContext = tr.Dialer.Net.DialContext
	stock.HTTP2 = &http.HTTP2Config{SendPingTimeout: tr.Ping.Interval, PingTimeout: tr.Ping.Timeout}

	v := &sufferer{outage: o, t: t, lab: lab, url: srv.URL, h: h, rt: tr}
	v.server = srv.Listener.Addr().(*net.TCPAddr).AddrPort()
	restore := v.suffer()
	began := time.Now()
	v.await(slack*o.found+5*time.Second, "found", func(s sockdiag.State, exists bool) bool {
		return !exists || s != sockdiag.Established
	})
	found := time.Since(began)
	v.result(slack*o.found + 5*time.Second)
	reason := metrics.Timeout
	if o.cancel {
		reason = metrics.Canceled
	}
	netlab.Eventually(t, 10*time.Second, "it has left", func() bool { return len(tr.Stats().Reasons) > 0 })
	wantReason(t, tr, reason, 1)
	if got := get(t, tr, srv.URL); got != "hello" { // the path is still dead
		t.Errorf("the next request got %q", got)
	}
	v.await(slack*(o.found+o.freed)+5*time.Second, "free", func(_ sockdiag.State, exists bool) bool { return !exists })
	t.Logf("%v until it was found, %v until the port was free", ms(found), ms(time.Since(began)))
	if st := lab.States(t, v.server); st.Client.By[sockdiag.FinWait1] != 0 {
		t.Errorf("orphans are left: %v", st)
	}
	took := time.Since(began)
	restore()
	shutdown(t, tr)
	if !compare {
		return
	}

	h.once.Store(false)
	v.rt = stock
	restore = v.suffer()
	netlab.Eventually(t, time.Minute, "twice the time passes", func() bool { return time.Since(v.began) > 2*took })
	s, exists := v.look()
	t.Logf("stock net/http after %v: open %t, %v", ms(time.Since(v.began)), exists, s)
	v.cancel()
	restore()
	stock.CloseIdleConnections()
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// A sufferer is a client that an outage happens to.
type sufferer struct {
	*outage
	t      *testing.T
	lab    *netlab.Lab
	url    string
	server netip.AddrPort
	h      *onceHandler
	rt     http.RoundTripper

	began  time.Time      // of the outage
	local  netip.AddrPort // the connection that it befalls
	cancel context.CancelFunc
	sent   bool       // a request was
	done   chan error // and this came of it
}

// suffer makes a connection and has its path die.
func (v *sufferer) suffer() (restore func()) {
	t := v.t
	t.Helper()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		v.local = i.Conn.LocalAddr().(*net.TCPAddr).AddrPort()
	}})
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, v.url, nil)
	resp, err := v.rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	readAll(resp)
	resp.Body.Close()
	ctx, v.cancel = context.WithCancel(t.Context())
	v.done = make(chan error, 1)
	if v.inFlight != "" {
		v.send(ctx, v.inFlight)
		<-v.h.arrived
	}
	restore = v.lab.BlackHole(t, v.local) // this connection and no other
	v.began = time.Now()
	if v.late != "" {
		v.send(ctx, v.late)
	}
	if v.outage.cancel {
		netlab.Eventually(t, time.Minute, "some time passes", func() bool { return time.Since(v.began) > 100*time.Millisecond })
		v.cancel()
	}
	return restore
}

// send sends a request with "x" for a body, if it is a POST.
func (v *sufferer) send(ctx context.Context, what string) {
	method, path, _ := strings.Cut(what, " ")
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("x")
	}
	req, _ := http.NewRequestWithContext(ctx, method, v.url+path, body)
	v.sent = true
	rt, done := v.rt, v.done
	go func() {
		resp, err := rt.RoundTrip(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		done <- err
	}()
}

// result wants the request's to be as it should.
func (v *sufferer) result(within time.Duration) {
	v.t.Helper()
	if !v.sent {
		return
	}
	select {
	case err := <-v.done:
		timeout, ok := errors.AsType[net.Error](err)
		switch {
		case !v.fails && err != nil, v.fails && err == nil:
			v.t.Errorf("the request ended with %v", err)
		case v.outage.cancel && err != context.Canceled:
			v.t.Errorf("the request ended with %v, want %v", err, context.Canceled)
		case err != nil && !v.outage.cancel && v.inFlight != "GET /half" && !(ok && timeout.Timeout()):
			v.t.Errorf("the request ended with %v, want a timeout", err)
		}
	case <-time.After(within):
		v.t.Errorf("the request has not ended within %v", within)
	}
}

// look asks the kernel for the connection.
func (v *sufferer) look() (sockdiag.State, bool) {
	diag, err := sockdiag.Open()
	if err != nil {
		v.t.Fatal(err)
	}
	defer diag.Close()
	s, exists, err := diag.Lookup(v.local, v.server)
	if err != nil {
		v.t.Fatal(err)
	}
	return s, exists
}

func (v *sufferer) await(within time.Duration, what string, cond func(sockdiag.State, bool) bool) {
	v.t.Helper()
	netlab.Eventually(v.t, within, what, func() bool { return cond(v.look()) })
}

// A onceHandler holds the first request for "/once", says half of an answer at
// "/half", and says hello to all others.
type onceHandler struct {
	once    atomic.Bool
	arrived chan struct{}
}

func (h *onceHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		io.Copy(io.Discard, r.Body)
	}
	switch {
	case r.URL.Path == "/half":
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
	case r.URL.Path == "/once" && !h.once.Swap(true):
	default:
		io.WriteString(w, "hello")
		return
	}
	h.arrived <- struct{}{}
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}
