package pool

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/lastack/lastack/internal/neterr"
)

var (
	// ErrClosed is wrapped by the error of a request to a Transport that has
	// been shut down.
	ErrClosed = errors.New("transport is shut down")

	// ErrBusy is wrapped by the error of a request that would have to wait
	// when Transport.MaxWaiters others do.
	ErrBusy = errors.New("too many requests wait for a connection")
)

// errNilRequest is the error of RoundTrip without a request.
var errNilRequest = errors.New("pool: nil *http.Request")

// An Error is a request that failed for want of a connection, or with its
// connection. It unwraps to the error that [http.Transport] would return, and
// so to net's and syscall's.
//
// Some errors are returned as they are, so that programs which compare them, or
// assert their type, still can: a context's end or its cause, [io.EOF] from a
// server that hangs up, a [tls.RecordHeaderError], a
// [*tls.CertificateVerificationError], and what comes from functions and
// connections of the user's own. So are the errors of a response's body, which
// is an [io.Reader].
//
// Every Error is a [net.Error], also one whose cause is none: its Timeout and
// Temporary report false then.
type Error struct {
	Op  string // what failed: "lease", "dial", "roundtrip"
	Key Key    // whose connection it was, or was wanted

	// Reused says that a request had succeeded on the connection before: it
	// may have been closed by a server that was done with it.
	Reused bool

	// Failures is how many dials to the host have failed in a row. After the
	// first they are spaced out.
	Failures int

	Err error
}

// Error returns the text of the cause: whoever calls through http.Client finds
// method and URL before it. Only what the pool itself says has its name.
func (e *Error) Error() string {
	switch {
	case e.Op == "lease":
		return "pool: " + e.Op + " " + e.Key.String() + ": " + e.Err.Error()
	case e.Failures > 1:
		return fmt.Sprintf("%v (%d dials in a row have failed, and are spaced out)", e.Err, e.Failures)
	}
	return e.Err.Error()
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether the cause is a timeout.
func (e *Error) Timeout() bool {
	return neterr.Timeout(e.Err)
}

// Temporary reports whether the cause says that it is temporary.
func (e *Error) Temporary() bool {
	return neterr.Temporary(e.Err)
}

// explainDial returns the error of a dial as a request gets it. The group's mu
// must be held.
func (g *group) explainDial(err error) error {
	if comparedAsIs(err) || !ofNetwork(err) {
		return err
	}
	return &Error{Op: "dial", Key: g.key, Failures: g.backoff.failures, Err: err}
}

// explain returns the error of a request on the leased connection as its caller
// gets it.
func (l lease) explain(err error) error {
	lost := l.c.nc != nil && !l.c.h2 && kindOf(err) != otherFailure || l.c.h2 && lostPing(err)
	if err = plain(err); comparedAsIs(err) || !lost && !ofNetwork(err) {
		return err
	}
	return &Error{Op: "roundtrip", Key: l.c.g.key, Reused: l.reused, Err: err}
}

// comparedAsIs reports whether programs, http.Client among them, look for the
// error without unwrapping what http.Transport returns.
func comparedAsIs(err error) bool {
	switch err.(type) {
	case tls.RecordHeaderError, *tls.CertificateVerificationError:
		return true
	}
	return err == io.EOF
}

// ofNetwork reports whether the error began in the standard library's network
// packages, or in the kernel.
func ofNetwork(err error) bool {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.PkgPath() {
	case "net", "net/http", "syscall", "internal/poll", "crypto/tls", "crypto/x509":
		return true
	}
	return err == io.EOF || err == io.ErrUnexpectedEOF
}

// A ConfigError says which field of a Transport cannot be used.
type ConfigError struct {
	Field string
	Value any
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("pool: invalid Transport.%s: %v", e.Field, e.Value)
}

// A ShutdownError says what Shutdown did not wait for. It unwraps to the cause
// of its context's end.
type ShutdownError struct {
	Conns int // connections that are busy or being dialled
	Err   error
}

func (e *ShutdownError) Error() string {
	return fmt.Sprintf("pool: %d connections are still in use: %v", e.Conns, e.Err)
}

// Unwrap returns e.Err.
func (e *ShutdownError) Unwrap() error { return e.Err }
