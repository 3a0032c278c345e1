package debug

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Local reports whether a request comes from this machine and was meant for it:
// its client has a loopback address, the host it asks for is localhost or a
// loopback address too, and no proxy says that it passes it on for another.
//
// Without the second, any web site could read the page through a browser on
// this machine, by a name of its own that resolves to 127.0.0.1 (DNS
// rebinding).
//
// A proxy on this machine that does not say so (nginx and HAProxy, unless they
// are told to) is a client like any other: what it passes on comes from here.
// Let it not pass on the page's path, or set [Config.Allow].
func Local(r *http.Request) bool {
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !client.Addr().Unmap().IsLoopback() {
		return false
	}
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"} {
		if _, ok := r.Header[name]; ok {
			return false
		}
	}
	return isLoopback(r.Host)
}

// isLoopback reports whether host, with or without a port, can only be this
// machine. RFC 6761 section 6.3: localhost and all names below it are.
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	} else if h, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(h, "]")
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// foreign reports whether a browser says that another site made it ask. What
// it asks for by itself, or a link that was followed, is not foreign.
func foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return r.Header.Get("Sec-Fetch-Mode") != "navigate"
	}
	return false
}
