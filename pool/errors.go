package pool

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is wrapped by the error of a request to a Transport that has
	// been shut down.
	ErrClosed = errors.New("transport is shut down")

	// ErrNilRequest is the error of RoundTrip without a request.
	ErrNilRequest = errors.New("pool: nil *http.Request")

	// ErrBusy is wrapped by the error of a request that would have to wait
	// when Transport.MaxWaiters others do.
	ErrBusy = errors.New("too many requests wait for a connection")
)

// An Error is a request that the pool itself could not serve. It unwraps to
// the cause. Errors of the protocol and of the network are net/http's and
// net's, as [http.Transport] returns them.
type Error struct {
	Op     string // what failed: "lease", "dial"
	Key    Key    // whose connection was wanted
	Reused bool   // the connection had served a request before
	Err    error
}

func (e *Error) Error() string { return "pool: " + e.Op + " " + e.Key.String() + ": " + e.Err.Error() }

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether the cause is a timeout.
func (e *Error) Timeout() bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](e.Err)
	return ok && t.Timeout()
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
