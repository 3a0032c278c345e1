package grpcpool

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
)

// A proxy connects whoever asks to one address, whatever they ask for.
type proxy struct {
	net.Listener
	backend string
	answer  string

	mu    sync.Mutex
	asked []string
	auth  string
}

func newProxy(t *testing.T, backend, answer string) *proxy {
	p := &proxy{Listener: listen(t, "tcp", "127.0.0.1:0"), backend: backend, answer: answer}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := p.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() { p.Close(); wg.Wait() })
	return p
}

func (p *proxy) serve(c *net.TCPConn) {
	defer c.Close()
	r := bufio.NewReader(c)
	req, err := http.ReadRequest(r)
	if err != nil || req.Method != http.MethodConnect {
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, req.Host)
	p.auth = req.Header.Get("Proxy-Authorization")
	p.mu.Unlock()
	if !strings.Contains(p.answer, " 200 ") {
		io.WriteString(c, p.answer)
		return
	}
	b, err := net.Dial("tcp", p.backend)
	if err != nil {
		return
	}
	defer b.Close()
	// The server speaks first, and its words come with the answer.
	first := make([]byte, 9)
	if _, err := io.ReadFull(b, first); err != nil {
		return
	}
	c.Write(append([]byte(p.answer), first...))
	var wg sync.WaitGroup
	wg.Go(func() { io.Copy(b, r); b.(*net.TCPConn).CloseWrite() })
	io.Copy(c, b)
	c.CloseWrite()
	wg.Wait()
}

// behind has the environment name the proxy for all hosts but those.
func behind(t *testing.T, proxy string, but ...string) {
	t.Helper()
	t.Setenv("HTTPS_PROXY", proxy)
	before := environment
	t.Cleanup(func() { environment = before })
	environment = func(host string) (*url.URL, error) {
		for _, b := range but {
			if name, _, _ := net.SplitHostPort(host); name == b {
				return nil, nil
			}
		}
		return url.Parse(proxy)
	}
}

const connected = "HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n"

// TestProxy: as without a dialer, the proxy gets the name, and NO_PROXY goes by it.
func TestProxy(t *testing.T) {
	backend := listen(t, "tcp", "127.0.0.1:0")
	serve(t, backend)
	_, port, _ := net.SplitHostPort(backend.Addr().String())
	for _, test := range []struct{ target, asked string }{
		{"service.invalid:5000", "service.invalid:5000"},
		{"dns:///service.invalid", "service.invalid:443"},
		{"passthrough:///service.invalid:5000", "service.invalid:5000"},
		{"dns:///localhost:" + port, ""},
		{"localhost:" + port, ""},
		{"passthrough:///localhost:" + port, ""},
	} {
		p := newProxy(t, backend.Addr().String(), connected)
		behind(t, "http://me:secret@"+p.Addr().String(), "localhost")
		if err := call(t, nil, test.target); err != nil {
			t.Errorf("%s: %v", test.target, err)
		}
		asked := strings.Join(p.asked, ",")
		if asked != test.asked {
			t.Errorf("%s: the proxy was asked for %q, want %q", test.target, asked, test.asked)
		}
		if asked != "" && p.auth != "Basic bWU6c2VjcmV0" {
			t.Errorf("%s: Proxy-Authorization: %q", test.target, p.auth)
		}
	}
}

func TestProxyRefuses(t *testing.T) {
	for name, answer := range map[string]string{
		"status":  "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
		"garbage": "220 smtp.example\r\n\r\n",
		"nothing": "",
		"endless": strings.Repeat("X", maxAnswer+1),
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, "", answer)
			behind(t, "http://"+p.Addr().String())
			_, err := newDialing(nil).dial(t.Context(), "service.invalid:5000")
			refused, ok := errors.AsType[*ProxyError](err)
			if !ok || refused.Target != "service.invalid:5000" || refused.Proxy != p.Addr().String() {
				t.Fatalf("got %v, want a ProxyError", err)
			}
			if name == "status" && refused.Status != "407 Proxy Authentication Required" {
				t.Errorf("status %q", refused.Status)
			}
		})
	}
}

// TestProxyHangs: the dial ends with its context.
func TestProxyHangs(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	defer l.Close()
	behind(t, "http://"+l.Addr().String())
	ctx, cancel := context.WithCancelCause(t.Context())
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		if c, err := l.Accept(); err == nil {
			defer c.Close()
			c.Read(make([]byte, 1)) // so it has been asked
			cancel(errors.New("enough"))
			io.Copy(io.Discard, c)
		}
	}()
	_, err := newDialing(nil).dial(ctx, "service.invalid:5000")
	if !errors.Is(err, context.Cause(ctx)) || err == nil {
		t.Errorf("got %v, want the context's cause", err)
	}
	<-accepted
}

func TestWithPort(t *testing.T) {
	for endpoint, want := range map[string]string{
		"name":      "name:443",
		"name:":     "name:443",
		"name:80":   "name:80",
		"::1":       "[::1]:443",
		"[::1]":     "[::1]:443",
		"[::1]:80":  "[::1]:80",
		"127.0.0.1": "127.0.0.1:443",
	} {
		if got := withPort(endpoint); got != want {
			t.Errorf("%q: %q, want %q", endpoint, got, want)
		}
	}
}

// TestNoProxyNoResolver: where no proxy is configured the user's resolvers are
// the first.
func TestNoProxyNoResolver(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "")
	t.Setenv("https_proxy", "")
	without := len(DialOptions(nil))
	t.Setenv("https_proxy", "http://127.0.0.1:1")
	if with := len(DialOptions(nil)); with != without+1 {
		t.Errorf("%d options with a proxy, %d without", with, without)
	}
	var _ []grpc.DialOption = DialOptions(nil)
}
