package grpcpool

import "fmt"

// A ConfigError says which field of a [Config] cannot be used.
type ConfigError struct {
	Field string
	Value any
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("grpcpool: invalid Config.%s: %v", e.Field, e.Value)
}

// A ShutdownError says what [ClientConn.Shutdown] did not wait for. It unwraps
// to the cause of its context's end, or to [grpc.ErrClientConnClosing] if Close
// was called meanwhile.
type ShutdownError struct {
	Calls    int // that were under way, and have been cut
	Channels int // that carried them
	Err      error
}

func (e *ShutdownError) Error() string {
	if e.Calls == 0 {
		return fmt.Sprintf("grpcpool: shutdown: %v", e.Err)
	}
	return fmt.Sprintf("grpcpool: shutdown: %d calls on %d channels were cut: %v", e.Calls, e.Channels, e.Err)
}

// Unwrap returns e.Err.
func (e *ShutdownError) Unwrap() error { return e.Err }
