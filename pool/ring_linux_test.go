package pool

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// ringConns is how many connections each case of the kernel ring makes.
const ringConns = 200

// A stage is where a scene of the kernel ring is played: a server, and a client
// that is stock net/http's or ours.
type stage struct {
	t     *testing.T
	lab   *netlab.Lab
	proto string
	base  *http.Transport // settings for the server
	addr  netip.AddrPort
	url   string // of the server
	gate  *gate
	srv   *httptest.Server // if it is Go's own

	ours  bool
	rt    http.RoundTripper
	fan   []http.RoundTripper // not nil: the i-th address has a client of its own
	pool  *Transport          // if ours
	stock *http.Transport     // if not
}

// A gate holds requests until as many as wanted have come, so that each has a
// connection of its own.
type gate struct {
	mu   sync.Mutex
	want int
	open chan struct{}
}

// expect closes the gate until n requests have come. With 0 it stays open.
func (g *gate) expect(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.want, g.open = n, make(chan struct{})
	if n == 0 {
		close(g.open)
	}
}

func (g *gate) pass() {
	g.mu.Lock()
	open := g.open
	if g.want--; g.want == 0 {
		close(open)
	}
	g.mu.Unlock()
	<-open
}

// ServeHTTP answers at "/slow" after 20 ms, at "/" when the gate is open, "/bytes" with as many bytes as
// the query says, "/endless" without end, and "/silent" when the client has gone.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/silent":
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case "/endless":
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 8<<10)); err != nil {
				break
			}
			w.(http.Flusher).Flush()
			<-time.After(10 * time.Millisecond) // 200 of them share a processor
		}
		panic(http.ErrAbortHandler) // no end, also for whoever still reads
	case "/slow":
		<-time.After(20 * time.Millisecond)
	case "/bytes":
		n := 0
		fmt.Sscan(r.URL.RawQuery, &n)
		g.pass()
		w.Write(make([]byte, n))
	case "/half":
		w.Header().Set("Content-Length", "100000")
		w.Write(make([]byte, 50000))
		w.(http.Flusher).Flush()
		g.pass()
		panic(http.ErrAbortHandler)
	default:
		g.pass()
		io.WriteString(w, "hello")
	}
}

// goServer makes the stage's server Go's own.
func goServer(tune func(*http.Server)) func(*stage) {
	return func(s *stage) {
		s.gate = &gate{}
		s.gate.expect(0)
		srv := httptest.NewUnstartedServer(s.gate)
		if tune != nil {
			tune(srv.Config)
		}
		s.serve(srv)
	}
}

// serveHandler makes the stage's server Go's own with this handler.
func serveHandler(s *stage, h http.Handler) { s.serve(httptest.NewUnstartedServer(h)) }

func (s *stage) serve(srv *httptest.Server) {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		s.t.Fatal(err)
	}
	srv.Listener.Close()
	srv.Listener = l
	srv.Config.ErrorLog = quiet
	s.srv = srv
	p := speaking(s.proto)
	srv.Config.Protocols = p
	s.base.Protocols = p
	if s.proto == "https" || s.proto == "h2" {
		srv.EnableHTTP2 = s.proto == "h2"
		srv.StartTLS()
	} else {
		srv.Start()
	}
	s.t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	s.at(l.Addr())
}

// at notes where the server listens.
func (s *stage) at(a net.Addr) {
	port := a.(*net.TCPAddr).Port
	s.addr = netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port)) // at any address
	scheme := "http"
	if s.proto == "https" || s.proto == "h2" {
		scheme = "https"
		s.base.TLSClientConfig = insecure
	}
	s.url = fmt.Sprintf("%s://127.0.0.1:%d", scheme, port)
}

// host returns the URL of the server under its i-th address. An HTTP/2 client
// makes one connection to each, where an HTTP/1.1 client makes one for each request.
func (s *stage) host(i int) string {
	if s.fan == nil && (s.proto == "h2" || s.proto == "h2c") {
		return strings.Replace(s.url, "127.0.0.1", fmt.Sprintf("127.0.1.%d", i%250+1), 1)
	}
	return s.url
}

// do sends a GET for the path to the i-th address and hands over the response.
func (s *stage) do(ctx context.Context, i int, path string, use func(*http.Response)) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.host(i)+path, nil)
	if err != nil {
		return err
	}
	if !s.ours && s.stock.DisableKeepAlives {
		req.Close = true
	}
	rt := s.rt
	if s.fan != nil {
		rt = s.fan[i]
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	if use == nil {
		use = readAll
	}
	use(resp)
	return resp.Body.Close()
}

func readAll(resp *http.Response) { io.Copy(io.Discard, resp.Body) }

// each calls do ringConns times at once, and reports errors but for those wanted.
func (s *stage) each(path string, use func(*http.Response), allow ...error) {
	s.t.Helper()
	var wg sync.WaitGroup
	for i := range ringConns {
		wg.Go(func() {
			if err := s.do(s.t.Context(), i, path, use); err != nil && !isAny(err, allow) {
				s.t.Errorf("ours %t: %v", s.ours, err)
			}
		})
	}
	wg.Wait()
}

func isAny(err error, of []error) bool {
	for _, e := range of {
		if e == errAny || errors.Is(err, e) {
			return true
		}
	}
	return false
}

// errAny allows any error.
var errAny = errors.New("any")

// open makes ringConns connections and leaves them at rest.
func (s *stage) open() {
	s.t.Helper()
	if s.gate != nil {
		s.gate.expect(ringConns)
		defer s.gate.expect(0)
		s.each("/", nil)
		return
	}
	// The server knows no gate: nobody reads until everybody has a response.
	all := &gate{}
	all.expect(ringConns)
	s.each("/64k", func(resp *http.Response) { all.pass(); readAll(resp) })
}

// A scene is one way for connections to end.
type scene struct {
	name   string
	protos []string       // nil: all
	server func(*stage)   // nil: Go's own
	tune   func(*stage)   // of s.base, s.pool and s.stock, before the first request
	play   func(*stage)   // what happens
	both   bool           // with SparePeer: the server's side must be free too
	stock  bool           // the stock transport is tuned as DefaultTransport
	policy *linger.Policy // nil: the default
	pays   bool           // TIME_WAITs on this side are expected, and must be counted
}

// playAll plays the scenes, each in the same namespace with stock net/http and
// with the pool, and compares the kernel's count of TIME_WAIT sockets.
func playAll(t *testing.T, scenes []scene) {
	for _, sc := range scenes {
		list := sc.protos
		if list == nil {
			list = protos
		}
		for _, proto := range list {
			t.Run(strings.ReplaceAll(sc.name, " ", "_")+"/"+proto, func(t *testing.T) {
				netlab.Run(t, func(lab *netlab.Lab) {
					stock, stockServer := playOnce(t, lab, sc, proto, false)
					ours, oursServer := playOnce(t, lab, sc, proto, true)
					t.Logf("TIME_WAIT of %d connections: client %d, server %d; stock net/http: client %d, server %d",
						ringConns, ours, oursServer, stock, stockServer)
				})
			})
		}
	}
}

// playOnce plays the scene and returns the TIME_WAIT sockets that it leaves.
func playOnce(t *testing.T, lab *netlab.Lab, sc scene, proto string, ours bool) (client, server int) {
	s := &stage{t: t, lab: lab, proto: proto, ours: ours, base: http.DefaultTransport.(*http.Transport).Clone()}
	s.base.MaxIdleConns = 0
	s.base.Proxy = nil
	if sc.server != nil {
		sc.server(s)
	} else {
		goServer(nil)(s)
	}
	s.stock = s.base.Clone()
	if !sc.stock {
		s.stock.MaxIdleConnsPerHost = 1000
	}
	s.pool = &Transport{Base: s.base, Meter: new(metrics.Meter)}
	if sc.policy != nil {
		s.pool.Dialer = &dialer.Dialer{Linger: &linger.Closer{Policy: *sc.policy}}
	}
	if sc.tune != nil {
		sc.tune(s)
	}
	s.rt = s.stock
	if ours {
		s.rt = s.pool
	}
	if s.fan != nil {
		s.fanOut()
	}
	check := netlab.Leaks(t)
	sc.play(s)
	for _, rt := range append(s.fan, s.rt) {
		if tr, ok := rt.(*Transport); ok {
			shutdownQuietly(t, tr)
		} else {
			rt.(*http.Transport).CloseIdleConnections()
		}
	}
	client, server = s.timeWaits()
	if !ours {
		return client, server
	}
	if sc.server == nil && proto == "http" {
		check()
	}
	if client != 0 && !sc.pays {
		t.Errorf("this side has %d TIME_WAIT", client)
	}
	if sc.both && server != 0 {
		t.Errorf("the server's side has %d TIME_WAIT", server)
	}
	st := s.pool.Stats()
	if err := st.Balance(); err != nil {
		t.Error(err)
	}
	if n := st.Resting + st.Busy + st.Leaving + st.Dialing; n != 0 {
		t.Errorf("%d connections are left: %v", n, st)
	}
	if int(st.TimeWaits) != client {
		t.Errorf("our own count of TIME_WAITs is %d, the kernel's %d", st.TimeWaits, client)
	}
	if st.Born < ringConns {
		t.Errorf("only %d connections were made", st.Born)
	}
	t.Logf("endings %v, reasons %v", st.Ended, st.Reasons)
	return client, server
}

// fanOut gives each address a client of its own, of the same settings.
func (s *stage) fanOut() {
	for i := range s.fan {
		clone := s.stock.Clone()
		if tc := clone.TLSClientConfig; tc != nil {
			tc.NextProtos = slices.Clip(tc.NextProtos) // net/http appends to what the clones share
		}
		s.fan[i] = clone
		if s.ours {
			s.fan[i] = &Transport{
				Base: s.base, Dialer: s.pool.Dialer, Meter: s.pool.Meter,
				IdleTimeout: s.pool.IdleTimeout, MaxRequests: s.pool.MaxRequests,
			}
		}
	}
}

// timeWaits returns the TIME_WAIT sockets of either side, once everything is
// settled. One that still waits for the peer's FIN counts: the kernel has
// nothing else of the connection any more.
func (s *stage) timeWaits() (client, server int) {
	s.t.Helper()
	s.lab.Settle(s.t, s.addr, 10*time.Second)
	st := s.lab.States(s.t, s.addr)
	return st.Client.TimeWaits() + st.Client.MiniFinWait2, st.Server.TimeWaits() + st.Server.MiniFinWait2
}

// rawServer makes the stage's server one that answers each connection's requests
// as serve does.
func rawServer(serve func(net.Conn, *bufio.Reader)) func(*stage) {
	return func(s *stage) {
		l, err := net.Listen("tcp4", "0.0.0.0:0")
		if err != nil {
			s.t.Fatal(err)
		}
		s.at(l.Addr())
		s.base.Protocols = new(http.Protocols)
		s.base.Protocols.SetHTTP1(true)
		var tc *tls.Config
		if s.proto == "https" {
			some := httptest.NewUnstartedServer(nil)
			some.StartTLS()
			tc = some.TLS.Clone()
			tc.NextProtos = []string{"http/1.1"}
			some.Close()
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				wg.Go(func() {
					defer c.Close()
					c.SetDeadline(time.Now().Add(30 * time.Second))
					if tc != nil {
						c = tls.Server(c, tc)
						defer c.Close()
					}
					serve(c, bufio.NewReader(c))
				})
			}
		})
		s.t.Cleanup(func() { l.Close(); wg.Wait() })
	}
}

// answer reads one request and answers it with the header given and "hello".
func answer(c net.Conn, r *bufio.Reader, head string) bool {
	req, err := http.ReadRequest(r)
	if err != nil {
		return false
	}
	io.Copy(io.Discard, req.Body)
	_, err = io.WriteString(c, head+"\r\n\r\nhello")
	return err == nil
}
