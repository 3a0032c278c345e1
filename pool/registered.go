package pool

import (
	"net/http"
	"reflect"
	"strings"
)

// foreign reports whether requests for the scheme are base's to serve. For
// HTTP's schemes that was looked up at the first request.
func (c *config) foreign(base *http.Transport, scheme string) bool {
	switch scheme {
	case "http":
		return c.foreignHTTP
	case "https":
		return c.foreignHTTPS
	}
	return base != nil && registered(base, scheme)
}

// registered reports whether base has been given a protocol of the user's own
// for the scheme ([http.Transport.RegisterProtocol]). The pool leaves such
// requests to base.
//
// net/http does not list what is registered, so this looks at the field. Where
// a later Go calls that something else, schemes that are not HTTP's are taken
// as registered, and HTTP's as not. net/http's own HTTP/2 registers itself for
// "https".
func registered(base *http.Transport, scheme string) bool {
	isHTTP := scheme == "http" || scheme == "https"
	field := reflect.ValueOf(base).Elem().FieldByName("altProto")
	if !field.IsValid() || field.Kind() != reflect.Struct {
		return !isHTTP
	}
	value := field.FieldByName("v") // of the atomic.Value
	if !value.IsValid() || value.Kind() != reflect.Interface {
		return !isHTTP
	}
	protocols := value.Elem()
	if !protocols.IsValid() || protocols.Kind() != reflect.Map {
		return false // none was ever registered
	}
	rt := protocols.MapIndex(reflect.ValueOf(scheme))
	return rt.IsValid() && !strings.HasSuffix(strings.ToLower(rt.Elem().Type().Name()), "nodialh2roundtripper")
}
