package grpcpool

import "google.golang.org/grpc/attributes"

// A route is how to reach an address: an attribute of it, which comes through to
// the dial.
type route struct {
	proxy string // its URL; empty: none
}

type routeKey struct{}

func (r route) on(a *attributes.Attributes) *attributes.Attributes {
	return a.WithValue(routeKey{}, r)
}

// String leaves out the password: attributes are logged.
func (r route) String() string {
	if r.proxy == "" {
		return "direct"
	}
	return "by proxy"
}
