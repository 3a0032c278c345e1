package pool

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// A Key is what two requests must have in common to share a connection. All
// requests of one Transport have its settings in common; what is left is here.
type Key struct {
	Scheme  string // "http" or "https"
	Address string // host:port of the server; empty if Proxy serves all of them
	Proxy   string // URL of the proxy, credentials included, or empty

	// HTTP1 is set for requests that HTTP/2 cannot carry: upgrades to
	// WebSocket. Their connections offer no HTTP/2.
	HTTP1 bool
}

// String returns the key in a form for people, without the proxy's password.
func (k Key) String() string {
	s := k.Scheme + "://" + k.Address
	if k.Proxy != "" {
		s += " via " + redact(k.Proxy)
	}
	if k.HTTP1 {
		s += " (HTTP/1.1 only)"
	}
	return s
}

// MarshalText returns String: a Key in JSON has no password either.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// LogValue returns String.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

func redact(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "a proxy"
	}
	return u.Redacted()
}

// host returns the name under which connections of the key are counted.
func (k Key) host() string {
	if k.Address != "" {
		return k.Address
	}
	if u, err := url.Parse(k.Proxy); err == nil {
		return u.Host
	}
	return k.Proxy
}

// keyOf returns the request's key, and the proxy that it is to go through, or nil.
func (c *config) keyOf(req *http.Request) (Key, *url.URL, error) {
	u := req.URL
	addr, err := address(u)
	if err != nil {
		return Key{}, nil, err
	}
	k := Key{Scheme: u.Scheme, Address: addr, HTTP1: u.Scheme == "https" && isWebSocket(req.Header)}
	if c.proxy == nil {
		return k, nil, nil
	}
	proxy, err := c.proxy(req)
	if err != nil || proxy == nil {
		return k, nil, err
	}
	k.Proxy = proxy.String()
	if k.Scheme == "http" && (proxy.Scheme == "http" || proxy.Scheme == "https") {
		k.Address = "" // one connection to the proxy serves every host
	}
	return k, proxy, nil
}

// isWebSocket reports whether the header asks for an upgrade to WebSocket.
func isWebSocket(h http.Header) bool {
	up := h["Upgrade"]
	return len(up) > 0 && strings.EqualFold(up[0], "websocket") && hasToken(h["Connection"], "upgrade")
}

// isUpgrade reports whether the header asks for any upgrade.
func isUpgrade(h http.Header) bool {
	return len(h["Upgrade"]) > 0 && hasToken(h["Connection"], "upgrade")
}

func hasToken(values []string, token string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// address returns the host:port of the URL, its host in ASCII.
func address(u *url.URL) (string, error) {
	port := u.Port()
	if !isASCII(u.Host) {
		return asciiAddress(u)
	}
	if port != "" {
		return u.Host, nil
	}
	port = "80"
	if u.Scheme == "https" {
		port = "443"
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// asciiAddress returns the address that net/http would dial for a host with
// international characters. It has net/http itself say so, which knows IDNA,
// by asking it to dial.
func asciiAddress(u *url.URL) (string, error) {
	var addr string
	errAsked := errors.New("asked")
	tr := &http.Transport{DialContext: func(_ context.Context, _, a string) (net.Conn, error) {
		addr = a
		return nil, errAsked
	}}
	probe := &http.Request{Method: http.MethodGet, Header: http.Header{}, Host: u.Host,
		URL: &url.URL{Scheme: "http", Host: u.Host, Path: "/"}}
	if u.Port() == "" {
		port := "80"
		if u.Scheme == "https" {
			port = "443"
		}
		probe.URL.Host = strings.TrimSuffix(u.Host, ":") + ":" + port
	}
	_, err := tr.RoundTrip(probe)
	if addr == "" {
		return "", err
	}
	return addr, nil
}
