package grpcpool

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	"github.com/lastack/lastack/dialer"
)

// Observe returns what [DialOptions] does, and observes the connections: calls
// are counted in d.Meter, if there is one, each in the ledger of the connection
// that carries it, which is busy or resting as it has calls or not; and events,
// if not nil, is told of each connection that has ended.
//
//	grpc.NewClient(target, append(grpcpool.Observe(d, events), opts...)...)
//
// A [stats.Handler] is among the options; the user's own are called as well. It
// takes part in every call, so a channel whose connections nobody asks about
// does better with DialOptions.
//
// The Meter's Requests are the calls that were sent. One that grpc-go sends again
// because the server has not seen it counts as one of Retries; one that is sent
// again by the retry policy of a service config cannot be told from another
// call. Calls over Unix sockets, or over a dialer that comes later among the
// options, are not counted.
//
// Events come off the callers' goroutines, after the Meter has counted, and before a
// Shutdown of the Dialer returns. They come concurrently if Dialers do, and must
// not block for long: the endings of other connections are found out after
// them.
func Observe(d *dialer.Dialer, events func(Event)) []grpc.DialOption {
	o := newObserver(events)
	o.counts = true
	dl := newDialing(d)
	dl.observer = o
	return append(dl.options(), grpc.WithStatsHandler(o))
}

// An observer joins calls to the connections that carry them. It makes the
// accounts of connections as they are dialled, and as a stats.Handler hears on
// which connection grpc-go sends a call.
//
// A connection is known by the very *net.TCPAddr that its LocalAddr returns,
// whatever credentials have wrapped it in: another that gets the same port has
// one of its own.
type observer struct {
	events   func(Event) // or nil
	counts   bool        // calls are counted in the ledgers of connections
	accounts sync.Map    // *net.TCPAddr → *account
}

func newObserver(events func(Event)) *observer { return &observer{events: events} }

var _ stats.Handler = (*observer)(nil)

// An attempt is the context of one attempt to send a call. grpc-go says one after
// another that it begins, is sent, and ends.
type attempt struct {
	context.Context
	o       *observer
	again   bool     // it is not the call's first
	account *account // of the connection that carries it; nil before and after
	since   time.Time
}

// Value returns the attempt itself to its observer.
func (t *attempt) Value(key any) any {
	if key == any(t.o) {
		return t
	}
	return t.Context.Value(key)
}

// TagRPC is called at the beginning of an attempt.
func (o *observer) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return &attempt{Context: ctx, o: o}
}

// HandleRPC is told how the attempt of ctx goes on.
func (o *observer) HandleRPC(ctx context.Context, s stats.RPCStats) {
	switch s := s.(type) {
	case *stats.Begin:
		if t, ok := ctx.Value(o).(*attempt); ok {
			t.again = s.IsTransparentRetryAttempt
		}
	case *stats.OutHeader:
		if t, ok := ctx.Value(o).(*attempt); ok {
			t.sent(s.LocalAddr)
		}
	case *stats.End:
		if t, ok := ctx.Value(o).(*attempt); ok {
			t.ended()
		}
	}
}

// sent joins the attempt to the connection with this address.
func (t *attempt) sent(local net.Addr) {
	key, _ := local.(*net.TCPAddr)
	v, ok := t.o.accounts.Load(key)
	if !ok || t.account != nil {
		return
	}
	a := v.(*account)
	t.account = a
	first := a.begin()
	if a.conn != nil {
		t.since = time.Now()
		a.conn.Leased(t.since)
	}
	if !t.o.counts || a.host == nil {
		return
	}
	if t.again {
		a.host.Retry()
	} else {
		a.host.Request()
	}
	a.host.Lease(t.since, !first)
}

func (t *attempt) ended() {
	a := t.account
	if a == nil {
		return
	}
	t.account = nil
	a.end()
	if t.o.counts && a.host != nil {
		a.host.Return(time.Now(), t.since)
		a.host.Done()
	}
}

// TagConn and HandleConn say nothing that accounts do not know.

func (*observer) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*observer) HandleConn(context.Context, stats.ConnStats)                       {}
