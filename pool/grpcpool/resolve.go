package grpcpool

import (
	"net"
	"os"

	"google.golang.org/grpc/resolver"
)

// proxyConfigured reports whether the environment names a proxy for any host.
func proxyConfigured() bool {
	return os.Getenv("HTTPS_PROXY") != "" || os.Getenv("https_proxy") != ""
}

// viaProxy is the dns resolver of a process that has a proxy. With a dialer of
// its own a channel of grpc-go resolves every name itself; but NO_PROXY goes by
// names, and a proxy may know names that this machine does not. So it decides by
// the name, and what is the proxy's to resolve is left to the proxy.
type viaProxy struct{}

func (viaProxy) Scheme() string { return "dns" }

func (viaProxy) Build(target resolver.Target, cc resolver.ClientConn, opts resolver.BuildOptions) (resolver.Resolver, error) {
	address := withPort(target.Endpoint())
	proxy, err := environment(address)
	if err != nil {
		return nil, err
	}
	if proxy == nil {
		return resolver.Get("dns").Build(target, direct{cc}, opts)
	}
	addr := resolver.Address{Addr: address, Attributes: route{proxy.String()}.on(nil)}
	cc.UpdateState(resolver.State{ // a balancer that refuses it says so to the calls
		Addresses: []resolver.Address{addr},
		Endpoints: []resolver.Endpoint{{Addresses: []resolver.Address{addr}}},
	})
	return unresolved{}, nil
}

// withPort adds the port that grpc-go takes for granted.
func withPort(endpoint string) string {
	if _, port, err := net.SplitHostPort(endpoint); err == nil && port != "" {
		return endpoint
	}
	host := endpoint
	if h, _, err := net.SplitHostPort(endpoint + "443"); err == nil {
		host = h // it ended in a colon
	}
	if n := len(host); n > 1 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	return net.JoinHostPort(host, "443")
}

// unresolved is the resolver of a name that the proxy resolves.
type unresolved struct{}

func (unresolved) ResolveNow(resolver.ResolveNowOptions) {}
func (unresolved) Close()                                {}

// direct marks the addresses that a resolver finds as those that need no proxy.
type direct struct{ resolver.ClientConn }

func (d direct) UpdateState(s resolver.State) error {
	s.Addresses = marked(s.Addresses)
	endpoints := make([]resolver.Endpoint, len(s.Endpoints))
	for i, e := range s.Endpoints {
		e.Addresses = marked(e.Addresses)
		endpoints[i] = e
	}
	s.Endpoints = endpoints
	return d.ClientConn.UpdateState(s)
}

func marked(addrs []resolver.Address) []resolver.Address {
	list := make([]resolver.Address, len(addrs))
	for i, a := range addrs {
		a.Attributes = route{}.on(a.Attributes)
		list[i] = a
	}
	return list
}
