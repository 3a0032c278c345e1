package grpcpool

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/grpc/credentials"
)

// environment returns the proxy that HTTPS_PROXY and NO_PROXY have for a host, or
// nil. Like grpc-go's own it reads them once.
var environment = func(host string) (*url.URL, error) {
	return http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "https", Host: host}})
}

// A ProxyError is a proxy that does not connect us. It unwraps to what kept it
// from answering, if anything.
type ProxyError struct {
	Proxy  string // its address
	Target string // what it was asked for
	Status string // what it answered; empty: nothing
	Err    error
}

func (e *ProxyError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("grpcpool: proxy %s: CONNECT %s: %v", e.Proxy, e.Target, e.Err)
	}
	return fmt.Sprintf("grpcpool: proxy %s: CONNECT %s: %s", e.Proxy, e.Target, e.Status)
}

// Unwrap returns e.Err.
func (e *ProxyError) Unwrap() error { return e.Err }

// proxyFor returns the proxy to dial the address through, or nil. The resolver
// has decided that if it knew the host's name (see viaProxy); else the address
// does.
func proxyFor(ctx context.Context, address string) (*url.URL, error) {
	if r, ok := credentials.ClientHandshakeInfoFromContext(ctx).Attributes.Value(routeKey{}).(route); ok {
		if r.proxy == "" {
			return nil, nil
		}
		return url.Parse(r.proxy)
	}
	return environment(address)
}

// proxyAddress returns the address to dial.
func proxyAddress(proxy *url.URL) string {
	if proxy.Port() != "" {
		return proxy.Host
	}
	port := "80"
	if proxy.Scheme == "https" {
		port = "443"
	}
	return net.JoinHostPort(proxy.Hostname(), port)
}

// maxAnswer bounds a proxy's answer.
const maxAnswer = 64 << 10

// askProxy has the proxy at the other end of c connect it to the address (CONNECT,
// RFC 9110 section 9.3.6). Like grpc-go it speaks plaintext to any proxy.
func askProxy(ctx context.Context, c net.Conn, proxy *url.URL, address string) (err error) {
	defer func() {
		if err == nil {
			err = c.SetDeadline(time.Time{})
		}
		if err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx) // it has cut us short
			}
			if _, ok := err.(*ProxyError); !ok {
				err = &ProxyError{Proxy: proxy.Host, Target: address, Err: err}
			}
		}
	}()
	if deadline, ok := ctx.Deadline(); ok {
		c.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() && err == nil {
			err = context.Cause(ctx) // it would still set its deadline
		}
	}()
	req := &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Host: address},
		Header: http.Header{"User-Agent": {"lastack"}},
	}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		basic := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
		req.Header.Set("Proxy-Authorization", "Basic "+basic)
	}
	if err := req.Write(c); err != nil {
		return err
	}
	answer, err := readAnswer(c)
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), req)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return &ProxyError{Proxy: proxy.Host, Target: address, Status: resp.Status}
	}
	return nil
}

// readAnswer reads up to the empty line and no further: what follows is the
// server's. It reads single bytes, which costs no more than a dial does.
func readAnswer(r io.Reader) ([]byte, error) {
	var (
		answer []byte
		b      [1]byte
	)
	for !bytes.HasSuffix(answer, []byte("\r\n\r\n")) && !bytes.HasSuffix(answer, []byte("\n\n")) {
		if len(answer) == maxAnswer {
			return nil, fmt.Errorf("the answer's header is longer than %d bytes", maxAnswer)
		}
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return nil, err
		}
		answer = append(answer, b[0])
	}
	return answer, nil
}
