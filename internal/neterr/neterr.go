// Package neterr asks errors what a [net.Error] says of itself.
package neterr

import "errors"

// Timeout reports whether err, or one that it wraps, is a timeout by its own word.
func Timeout(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}

// Temporary reports whether err, or one that it wraps, is temporary by its own
// word.
func Temporary(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	return ok && t.Temporary()
}
