// Package birth carries to the Dialer what the pool knows of a connection
// before there is one: the dial happens behind net/http, and a context is all
// that comes through.
package birth

import (
	"context"
	"time"

	"github.com/lastack/lastack/linger"
)

// A Note says how the connection that a dial makes is to be born.
type Note struct {
	// FinReset asks for FIN-then-reset to be armed before connect, so that it
	// serves however the process ends.
	FinReset bool

	// Account, if not nil, makes the ledger entry of the connection, which it is
	// given, in place of the Dialer's Meter.
	Account func(*linger.Conn) linger.Account

	// Dialed, if not nil, is told how long it took to find the addresses, zero
	// where none had to be, and to connect.
	Dialed func(dns, tcp time.Duration)
}

type key struct{}

// With returns a context that carries the note.
func With(ctx context.Context, n Note) context.Context { return context.WithValue(ctx, key{}, n) }

// Of returns the note that ctx carries, or the zero Note.
func Of(ctx context.Context) Note {
	n, _ := ctx.Value(key{}).(Note)
	return n
}
