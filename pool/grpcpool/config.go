package grpcpool

import (
	"context"
	"log/slog"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/metrics"
)

// A Config says how a [ClientConn] makes, keeps and ends its channels. The zero
// Config is ready. [NewClient] reports a field that cannot be used as a
// [*ConfigError].
type Config struct {
	// Credentials secure the connections. They are given here, and win over
	// WithTransportCredentials in the options, so that the pool hears what a server says below its
	// calls: how many streams it allows, and that it is to be left in peace.
	// If nil, the options' are used, the pool hears nothing, and Streams is
	// believed.
	Credentials credentials.TransportCredentials

	// Dialer makes the connections of all channels.
	// If nil, it is one of the pool's own, as in DialOptions.
	Dialer *dialer.Dialer

	// MinConns is how many channels are kept connected: those are made at once,
	// and reconnected when their server closes.
	// If zero, it is one, which connects at the first call.
	MinConns int

	// MaxConns bounds the channels. One that replaces another, and one that
	// waits for its last calls to end, do not count.
	// If zero, it is 10, or MinConns if that is more.
	MaxConns int

	// Streams is how many calls a channel's connection carries at a time. With
	// Credentials it only lowers what the server allows.
	// If zero, it is what the server allows; without Credentials, 100.
	Streams int

	// MaxAge is how long a channel's connection lives. Its channel is replaced
	// when between 80 and 100 % of MaxAge have passed, as chosen at its birth: another
	// takes its place first, and its calls end in peace. The name is resolved
	// anew.
	// If zero, it is unlimited.
	MaxAge time.Duration

	// Cooldown is for how long fewer channels must have been enough before one
	// leaves.
	// If zero, it is one minute.
	Cooldown time.Duration

	// Prime, if not nil, is run on each new channel when it is connected, before
	// it is given calls, for 20 seconds at most: it must heed its context. A
	// channel for which it fails is given up, unless there is no other. One that
	// cannot be connected at first is primed when it is; calls that have waited
	// for that (grpc.WaitForReady) do not wait for Prime as well.
	Prime func(context.Context, *grpc.ClientConn) error

	// HungCalls and HungAfter say when a channel is taken to hang, and is
	// replaced: that many calls in a row have exceeded their deadlines, and
	// nothing at all has come from the server for that long.
	// If zero, they are 5 and 20 seconds; if either is negative, no channel is
	// taken to hang.
	HungCalls int
	HungAfter time.Duration

	// Keepalive has the parameters of keepalive pings. A server that calls
	// them too many gets half as many from the pool's later channels. Its Timeout
	// is TCP_USER_TIMEOUT too, unless the Dialer has one.
	// A Time or a Timeout that is zero is that of DialOptions; a Time of less
	// than ten seconds is ten seconds.
	Keepalive keepalive.ClientParameters

	// Meter counts calls and connections.
	// If nil, it is the Dialer's, or one of the pool's own.
	Meter *metrics.Meter

	// Events, if not nil, is told of each connection that has ended, as by
	// Observe. It costs every call something.
	Events func(Event)

	// Logger is told of channels that come and go.
	// If nil, nobody is.
	Logger *slog.Logger
}

const (
	defaultMaxConns  = 10
	defaultStreams   = 100 // of a connection whose server says nothing; grpc-go assumes as many
	defaultCooldown  = time.Minute
	defaultHungCalls = 5
	defaultHungAfter = 20 * time.Second
)

// check reports the first field that cannot be used.
func (c *Config) check() error {
	for _, f := range []struct {
		name    string
		value   any
		invalid bool
	}{
		{"MinConns", c.MinConns, c.MinConns < 0},
		{"MaxConns", c.MaxConns, c.MaxConns < 0 || c.MaxConns > 0 && c.MaxConns < c.MinConns},
		{"Streams", c.Streams, c.Streams < 0 || c.Streams > math.MaxInt32},
		{"MaxAge", c.MaxAge, c.MaxAge < 0},
		{"Cooldown", c.Cooldown, c.Cooldown < 0},
		{"Keepalive.Time", c.Keepalive.Time, c.Keepalive.Time < 0},
		{"Keepalive.Timeout", c.Keepalive.Timeout, c.Keepalive.Timeout < 0},
	} {
		if f.invalid {
			return &ConfigError{f.name, f.value}
		}
	}
	return nil
}

// withDefaults returns c with no zero that stands for something else, but for
// MinConns, whose zero means one that is lazy.
func (c Config) withDefaults() Config {
	if c.MaxConns == 0 {
		c.MaxConns = max(defaultMaxConns, c.MinConns)
	}
	if c.Streams == 0 && c.Credentials == nil {
		c.Streams = defaultStreams
	}
	if c.Cooldown == 0 {
		c.Cooldown = defaultCooldown
	}
	if c.HungCalls == 0 {
		c.HungCalls = defaultHungCalls
	}
	if c.HungAfter == 0 {
		c.HungAfter = defaultHungAfter
	}
	if c.Keepalive.Time == 0 {
		c.Keepalive.Time = keepaliveTime
	}
	c.Keepalive.Time = max(c.Keepalive.Time, keepaliveLeast) // what is doubled later is to be what grpc-go does
	if c.Keepalive.Timeout == 0 {
		c.Keepalive.Timeout = keepaliveTimeout
	}
	if c.Dialer == nil {
		c.Dialer = newDialer()
	}
	if c.Meter == nil {
		c.Meter = c.Dialer.Meter
	}
	if c.Meter == nil {
		c.Meter = new(metrics.Meter)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// minConns returns how many channels there are at least.
func (c *Config) minConns() int { return max(c.MinConns, 1) }
