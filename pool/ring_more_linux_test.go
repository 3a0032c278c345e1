package pool

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/internal/sockdiag"
	"github.com/lastack/lastack/internal/sockopt"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

func TestMain(m *testing.M) {
	netlab.Register("client", childClient)
	netlab.Register("server", childServer)
	netlab.Register("soak servers", soakServer)
	netlab.Main(m)
}

// TestKernelProxies: connections to a proxy.
func TestKernelProxies(t *testing.T) {
	through := func(s *stage) {
		goServer(nil)(s)
		proxy := s.addr.String()
		if s.proto != "http" {
			proxy = connectProxy(s.t, func(*http.Request) {})
		}
		u, err := url.Parse("http://" + proxy)
		if err != nil {
			t.Fatal(err)
		}
		s.base.Proxy = http.ProxyURL(u)
		s.addr = netip.MustParseAddrPort(proxy)
	}
	playAll(t, []scene{{
		name: "proxy", protos: []string{"http", "https", "h2"}, server: through,
		play: func(s *stage) { s.open(); s.closeIdle(); s.awaitEnd() },
	}, {
		name: "proxy, MaxRequests", protos: []string{"http", "https", "h2"}, server: through,
		tune: func(s *stage) { s.pool.MaxRequests = 1; s.stock.DisableKeepAlives = true },
		play: func(s *stage) { s.open(); s.awaitEnd() },
	}})
}

// TestKernelPortable: without Linux's options, no TIME_WAIT stays here where
// the peer can be made to close first, or where a reset is allowed; else it is counted.
func TestKernelPortable(t *testing.T) {
	sockopt.Portable.Store(true)
	defer sockopt.Portable.Store(false)
	rest := func(s *stage) {
		s.open()
		if !s.ours {
			s.closeIdle()
		}
		s.awaitEnd()
	}
	idle := func(s *stage) { s.pool.IdleTimeout = 300 * time.Millisecond }
	playAll(t, []scene{{
		name: "portable, server asked to close", protos: plain1, play: rest,
		tune: func(s *stage) { idle(s); s.pool.AskToClose = true },
	}, {
		name: "portable, last request", protos: http1, play: rest,
		tune: func(s *stage) { s.pool.MaxRequests = 1 },
	}, {
		name: "portable, idle", protos: []string{"https", "h2", "h2c"}, play: rest, tune: idle,
	}, {
		name: "portable, reset allowed", protos: plain1, play: rest, tune: idle,
		policy: &linger.Policy{Fallback: linger.Abort},
	}, {
		name: "portable, nothing helps", protos: plain1, play: rest, tune: idle, pays: true,
	}})
}

// TestKernelPlain: a policy of plain closes pays, and says so.
func TestKernelPlain(t *testing.T) {
	playAll(t, []scene{{
		name: "plain", protos: plain1, pays: true, policy: &linger.Policy{Fallback: linger.Plain},
		play: func(s *stage) { s.open() },
	}, {
		name: "abort", both: true, protos: plain1, policy: &linger.Policy{Fallback: linger.Abort},
		play: func(s *stage) { s.open() },
	}})
}

// childClient opens args[2] connections to the URL args[1] with the client that
// args[0] names, says "ready", and exits, or waits to be killed.
func childClient(args []string) {
	n, err := strconv.Atoi(args[2])
	if err != nil {
		panic(err)
	}
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.MaxIdleConns, base.MaxIdleConnsPerHost = 0, 1000
	base.TLSClientConfig = insecure
	var rt http.RoundTripper = base
	if args[0] == "ours" {
		rt = &Transport{Base: base}
	}
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			req, _ := http.NewRequest(http.MethodGet, args[1], nil)
			resp, err := rt.RoundTrip(req)
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		})
	}
	wg.Wait()
	fmt.Println("ready")
	if args[3] == "exit" {
		os.Exit(0)
	}
	io.Copy(io.Discard, os.Stdin)
}

// TestKernelProcessEnd: a client that exits, or is killed, with connections at rest.
func TestKernelProcessEnd(t *testing.T) {
	for _, how := range []string{"exit", "kill"} {
		for _, proto := range http1 {
			t.Run(how+"/"+proto, func(t *testing.T) {
				netlab.Run(t, func(lab *netlab.Lab) {
					var waits [2]int
					for i, who := range []string{"stock", "ours"} {
						waits[i] = processEnd(t, lab, how, proto, who)
					}
					if waits[1] != 0 {
						t.Errorf("%d TIME_WAIT are left", waits[1])
					}
					t.Logf("TIME_WAIT of %d connections: %d; stock net/http: %d", ringConns, waits[1], waits[0])
				})
			})
		}
	}
}

func processEnd(t *testing.T, lab *netlab.Lab, how, proto, who string) int {
	s := &stage{t: t, lab: lab, proto: proto, base: new(http.Transport)}
	goServer(nil)(s)
	s.gate.expect(ringConns)
	child := lab.Child(t, "client", who, s.url, strconv.Itoa(ringConns), how)
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the client said %q", line)
	}
	if how == "kill" {
		if n := lab.States(t, s.addr).Client.By[sockdiag.Established]; n != ringConns {
			t.Errorf("%d connections at rest, want %d", n, ringConns)
		}
		child.Process.Signal(syscall.SIGKILL)
	}
	child.Wait()
	client, _ := s.timeWaits()
	return client
}

// TestKernelNoCloseWait: a server closes 200 connections at rest, and none of
// this side stays in CLOSE_WAIT.
func TestKernelNoCloseWait(t *testing.T) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			netlab.Run(t, func(lab *netlab.Lab) {
				s := &stage{t: t, lab: lab, proto: proto, base: http.DefaultTransport.(*http.Transport).Clone(), ours: true}
				s.base.MaxIdleConns = 0
				var srv *http.Server
				goServer(func(h *http.Server) { srv = h })(s)
				s.pool = &Transport{Base: s.base}
				s.rt = s.pool
				s.open()
				began := time.Now()
				srv.Close()
				netlab.Eventually(t, 5*time.Second, "no connection is open or in CLOSE_WAIT", func() bool {
					st := lab.States(t, s.addr)
					return st.Client.By[sockdiag.Established]+st.Client.By[sockdiag.CloseWait] == 0
				})
				t.Logf("gone after %v", time.Since(began))
				shutdown(t, s.pool)
				if st := s.pool.Stats(); st.Ended[linger.PeerFirst] < ringConns*9/10 {
					t.Errorf("endings %v, want nearly all peer_first; reasons %v", st.Ended, st.Reasons)
				}
			})
		})
	}
}

// childServer serves on a port of its own and prints its address.
func childServer(args []string) {
	g := &gate{}
	n, _ := strconv.Atoi(args[0])
	g.expect(n)
	srv := httptest.NewServer(g)
	fmt.Println(srv.Listener.Addr())
	io.Copy(io.Discard, os.Stdin)
}

// TestKernelManyConnections: 10,000 connections at once leave nothing behind.
func TestKernelManyConnections(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		n := 10_000
		if testing.Short() {
			n = 1000
		}
		server := lab.Child(t, "server", strconv.Itoa(n))
		stdin, _ := server.StdinPipe()
		defer stdin.Close()
		out, _ := server.StdoutPipe()
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		var addr string
		fmt.Fscan(out, &addr)
		check := netlab.Leaks(t)
		tr := &Transport{}
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() { get(t, tr, "http://"+addr+"/") })
		}
		wg.Wait()
		if s := tr.Stats(); int(s.Resting) != n {
			t.Errorf("%d connections rest, want %d", s.Resting, n)
		}
		shutdown(t, tr)
		check()
		ap := netip.MustParseAddrPort(addr)
		lab.Settle(t, ap, 10*time.Second)
		client, _ := lab.TimeWaits(t, ap)
		s := tr.Stats()
		if client != 0 || s.TimeWaits != 0 {
			t.Errorf("TIME_WAIT: the kernel counts %d, we count %d", client, s.TimeWaits)
		}
		t.Logf("endings %v", s.Ended)
	})
}

// TestKernelWouldHave: per_request is every request; net_http_default is near what
// net/http's default leaves for the same bursts.
func TestKernelWouldHave(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		bursts := func(s *stage) {
			for range 20 {
				var wg sync.WaitGroup
				for i := range 32 {
					wg.Go(func() { s.do(t.Context(), i, "/slow", nil) })
				}
				wg.Wait()
			}
		}
		sc := scene{name: "bursts", stock: true, play: bursts}
		var s *stage
		stock, _ := playOnce(t, lab, sc, "http", false)
		sc.play = func(x *stage) { s = x; bursts(x); x.open() }
		playOnce(t, lab, sc, "http", true)
		would := s.pool.Stats().WouldHave
		if got := would[metrics.PerRequest]; got != 20*32+ringConns {
			t.Errorf("per_request is %d, want %d", got, 20*32+ringConns)
		}
		got := int(would[metrics.NetHTTPDefault]) - (ringConns - 2) // of open
		t.Logf("net/http's default left %d TIME_WAIT for the bursts; the ghost says %d", stock, got)
		if got > stock*11/10 || got < stock*7/10 {
			t.Errorf("the ghost says %d, the kernel %d", got, stock)
		}
	})
}
