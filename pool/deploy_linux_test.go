package pool

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
)

// A deployer serves one address by one server after the other, each with the
// protocol of its own, and lets the old one finish what it has.
type deployer struct {
	l    net.Listener
	cert *tls.Config

	mu      sync.Mutex
	current *deployment
	all     sync.WaitGroup
}

type deployment struct {
	*http.Server
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (d *deployment) Accept() (net.Conn, error) {
	select {
	case c := <-d.conns: // first: what has come is not left behind
		return c, nil
	default:
	}
	select {
	case c := <-d.conns:
		return c, nil
	case <-d.done:
		return nil, net.ErrClosed
	}
}

func (d *deployment) Close() error   { d.once.Do(func() { close(d.done) }); return nil }
func (d *deployment) Addr() net.Addr { return &net.TCPAddr{} }

func newDeployer(t *testing.T) *deployer {
	some := httptest.NewUnstartedServer(nil)
	some.StartTLS()
	d := &deployer{cert: some.TLS.Clone()}
	some.Close()
	var err error
	if d.l, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	d.all.Go(func() {
		for {
			c, err := d.l.Accept()
			if err != nil {
				return
			}
			d.mu.Lock()
			d.current.conns <- c
			d.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		d.l.Close()
		d.current.Server.Close()
		d.all.Wait()
	})
	return d
}

// deploy has a server that speaks proto take over. What it leaves is shut down
// gracefully.
func (d *deployer) deploy(t *testing.T, proto string) {
	next := &deployment{conns: make(chan net.Conn, 1000), done: make(chan struct{}), Server: &http.Server{
		ErrorLog: quiet, TLSConfig: d.cert.Clone(), Protocols: speaking(proto),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-time.After(time.Millisecond)
			io.WriteString(w, r.Proto)
		}),
	}}
	next.TLSConfig.NextProtos = nil
	d.all.Go(func() { next.ServeTLS(next, "", "") })
	d.mu.Lock()
	last := d.current
	d.current = next
	d.mu.Unlock()
	if last != nil {
		// net/http's server hangs up on the first request of a connection once
		// it shuts down. Those that are on their way are let through first, as
		// any careful deployment does.
		<-time.After(200 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := last.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}
}

// TestKernelDeploy: a server that speaks HTTP/1.1, after a deployment HTTP/2, and
// then HTTP/1.1 again on the same address, under load.
func TestKernelDeploy(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		failed := map[string]int32{}
		for _, who := range []string{"stock", "ours"} {
			d := newDeployer(t)
			d.deploy(t, "https")
			base := http.DefaultTransport.(*http.Transport).Clone()
			base.Proxy, base.TLSClientConfig = nil, insecure.Clone()
			base.MaxIdleConnsPerHost = 100
			var rt http.RoundTripper = base
			tr := &Transport{Base: base}
			if who == "ours" {
				rt = tr
			}
			var n, errs, h1, h2 atomic.Int32
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					for ctx.Err() == nil {
						req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+d.l.Addr().String(), nil)
						resp, err := rt.RoundTrip(req)
						n.Add(1)
						if err != nil {
							errs.Add(1)
							t.Logf("%s: %v", who, err)
							continue
						}
						if resp.ProtoMajor == 2 {
							h2.Add(1)
						} else {
							h1.Add(1)
						}
						readAll(resp)
						resp.Body.Close()
					}
				})
			}
			for _, proto := range []string{"h2", "https", "h2", "https"} {
				before := n.Load()
				netlab.Eventually(t, time.Minute, "some requests pass", func() bool { return n.Load() > before+500 })
				d.deploy(t, proto)
			}
			stop()
			wg.Wait()
			base.CloseIdleConnections()
			shutdown(t, tr)
			addr := d.l.Addr().(*net.TCPAddr).AddrPort()
			lab.Settle(t, addr, 10*time.Second)
			client, server := lab.TimeWaits(t, addr)
			t.Logf("%s: %d requests (HTTP/1.1 %d, HTTP/2 %d), %d failed; TIME_WAIT: client %d, server %d",
				who, n.Load(), h1.Load(), h2.Load(), errs.Load(), client, server)
			failed[who] = errs.Load()
			if who == "stock" {
				continue
			}
			if s := tr.Stats(); client != 0 || s.TimeWaits != 0 {
				t.Errorf("TIME_WAIT: the kernel counts %d, we count %d: %v", client, s.TimeWaits, s)
			}
			if h1.Load() == 0 || h2.Load() == 0 {
				t.Error("it did not follow the server's protocol")
			}
		}
		if failed["ours"] > failed["stock"] {
			t.Errorf("%d GETs failed; stock net/http: %d", failed["ours"], failed["stock"])
		}
	})
}
