package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"strconv"
)

// A target is what one row's requests go to.
type target struct {
	url     string
	tls     *tls.Config
	servers []netip.AddrPort
	local   bool // the server's sockets are on this machine
}

// open returns a target: a site of the embedded server that no other row uses,
// or the server of -url.
func (c *comparison) open(ctx context.Context) (target, error) {
	if c.s.url != nil {
		return c.outside(ctx)
	}
	a, err := listen(c.server, siteConfig{
		TLS: c.s.tls, HTTP2: c.s.http2, Close: c.s.work == closes,
		Delay: c.s.delay, Size: c.s.size,
	})
	if err != nil {
		return target{}, err
	}
	addr, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		return target{}, err
	}
	t := target{url: "http://" + a.Addr + "/", servers: []netip.AddrPort{addr}, local: true}
	if c.s.tls {
		t.url = "https://" + a.Addr + "/"
		t.tls = &tls.Config{RootCAs: x509.NewCertPool()}
		if !t.tls.RootCAs.AppendCertsFromPEM(a.Roots) {
			return target{}, errors.New("the server has sent no certificate")
		}
	}
	return t, nil
}

// outside resolves the server of -url, whose sockets are found by its addresses.
func (c *comparison) outside(ctx context.Context) (target, error) {
	u := c.s.url
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return target{}, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return target{}, err
	}
	t := target{url: u.String(), tls: &tls.Config{InsecureSkipVerify: c.s.insecure}, local: true}
	for _, ip := range ips {
		ip = ip.Unmap().WithZone("") // as the kernel is asked
		t.servers = append(t.servers, netip.AddrPortFrom(ip, uint16(number)))
		t.local = t.local && ours(ip)
	}
	return t, nil
}

// ours reports whether the address is one of this machine.
func ours(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == ip {
			return true
		}
	}
	return false
}
