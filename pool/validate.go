package pool

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// validate reports what http.Transport would refuse to send, in its words.
// Unlike the connection's own check it comes before a connection is taken.
func validate(req *http.Request) error {
	switch {
	case req.URL == nil:
		return errors.New("http: nil Request.URL")
	case req.Header == nil:
		return errors.New("http: nil Request.Header")
	}
	if bad := badHeader(req.Header); bad != "" {
		return fmt.Errorf("net/http: invalid header %s", bad)
	}
	if bad := badHeader(req.Trailer); bad != "" {
		return fmt.Errorf("net/http: invalid trailer %s", bad)
	}
	if s := req.URL.Scheme; s != "http" && s != "https" {
		return fmt.Errorf("unsupported protocol scheme %q", s)
	}
	if req.Method != "" && !isToken(req.Method) {
		return fmt.Errorf("net/http: invalid method %q", req.Method)
	}
	if req.URL.Host == "" {
		return errors.New("http: no Host in request URL")
	}
	return nil
}

// badHeader names the first field that cannot be sent. It does not show a
// value, which may be a secret.
func badHeader(h http.Header) string {
	for name, values := range h {
		if !isToken(name) {
			return fmt.Sprintf("field name %q", name)
		}
		for _, v := range values {
			if !isFieldValue(v) {
				return fmt.Sprintf("field value for %q", name)
			}
		}
	}
	return ""
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if !tokenChars[s[i]] {
			return false
		}
	}
	return s != ""
}

var tokenChars = func() (is [256]bool) {
	for c := range is {
		is[c] = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			c < 0x80 && strings.IndexByte("!#$%&'*+-.^_`|~", byte(c)) >= 0
	}
	return is
}()

// isFieldValue reports whether s may be a field's value (RFC 9110 section 5.5):
// no control characters but for the tab.
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// closeBody closes the body of a request that will not be sent, as the
// contract of a RoundTripper has it.
func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}
