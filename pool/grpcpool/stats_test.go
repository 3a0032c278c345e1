package grpcpool

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/stats"

	"github.com/lastack/lastack/dialer"
	"github.com/lastack/lastack/internal/netlab"
	"github.com/lastack/lastack/linger"
	"github.com/lastack/lastack/metrics"
)

// An eventLog is where events go.
type eventLog struct {
	mu     sync.Mutex
	events []Event
}

func (l *eventLog) add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

func (l *eventLog) all() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events[:len(l.events):len(l.events)]
}

// observed makes a channel that is observed.
func observed(t testing.TB, target string, d *dialer.Dialer, events func(Event), opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	opts = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, opts...)
	cc, err := grpc.NewClient(target, append(Observe(d, events), opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return cc
}

func checkHealth(t testing.TB, cc *grpc.ClientConn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := healthpb.NewHealthClient(cc).Check(ctx, new(healthpb.HealthCheckRequest)); err != nil {
		t.Error(err)
	}
}

// watchHealth begins a stream and has it answered. The function that it returns ends it.
func watchHealth(t testing.TB, cc *grpc.ClientConn) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w, err := healthpb.NewHealthClient(cc).Watch(ctx, new(healthpb.HealthCheckRequest))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Recv(); err != nil {
		t.Fatal(err)
	}
	return func() {
		cancel()
		for {
			if _, err := w.Recv(); err != nil {
				return
			}
		}
	}
}

func shutDown(t testing.TB, d *dialer.Dialer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := d.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
}

// Whatever calls there are on whatever connections, each is an event's, and a
// Meter's.
func TestObserve(t *testing.T) {
	const channels, unary, streams = 5, 40, 3
	tlsServer, tlsClient := tlsPair(t)
	for _, c := range []struct {
		name           string
		server, client credentials.TransportCredentials
	}{
		{"insecure", insecure.NewCredentials(), insecure.NewCredentials()},
		{"tls", tlsServer, tlsClient},
		{"heard", tlsServer, observing(tlsClient, new(audience).open)},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := serveHealth(t, grpc.Creds(c.server))
			d := newDialer()
			d.Meter = new(metrics.Meter)
			var log eventLog
			began := time.Now()
			var ccs []*grpc.ClientConn
			for range channels {
				ccs = append(ccs, observed(t, addr, d, log.add, grpc.WithTransportCredentials(c.client)))
			}
			var wg sync.WaitGroup
			for i := range channels * unary {
				wg.Go(func() { checkHealth(t, ccs[i%channels]) })
			}
			for i := range channels * streams {
				wg.Go(func() { watchHealth(t, ccs[i%channels])() })
			}
			wg.Wait()
			if n := len(log.all()); n > 0 {
				t.Errorf("%d events before the end", n)
			}
			s := d.Meter.Snapshot()
			if err := s.Balance(); err != nil || s.Busy != 0 || s.Resting != channels {
				t.Errorf("before the end: %v\n%v", err, s)
			}
			for _, cc := range ccs {
				cc.Close()
			}
			shutDown(t, d)
			took := time.Since(began)

			const calls = channels * (unary + streams)
			got := uint64(0)
			ends := map[netip.AddrPort]bool{}
			for _, e := range log.all() {
				got += e.Calls
				if e.Calls == 0 || ends[e.Local] || e.Remote.String() != addr || e.Address != addr {
					t.Errorf("not a connection of its own to %s with calls: %+v", addr, e)
				}
				ends[e.Local] = true
				if e.Ending == linger.Unknown || e.Ending == linger.LocalFirst && runtime.GOOS == "linux" {
					t.Errorf("ending %v", e.Ending)
				}
				if e.Life <= 0 || e.Goodbye <= 0 || e.Life+e.Goodbye > took {
					t.Errorf("a life of %v and a goodbye of %v, when all took %v", e.Life, e.Goodbye, took)
				}
			}
			if len(ends) != channels || got != calls {
				t.Errorf("%d connections with %d calls, want %d with %d", len(ends), got, channels, calls)
			}

			s = d.Meter.Snapshot()
			if err := s.Balance(); err != nil {
				t.Error(err)
			}
			if s.Requests != calls || s.Leases != calls || s.Reused != calls-channels || s.Retries != 0 ||
				s.Born != channels || s.Busy+s.Resting+s.Leaving != 0 {
				t.Errorf("the Meter has counted:\n%v", s)
			}
			if len(s.Hosts) != 1 || s.Hosts[0].Name != addr {
				t.Errorf("there are %d ledgers", len(s.Hosts))
			}
		})
	}
}

func TestObserveBusy(t *testing.T) {
	addr := serveHealth(t)
	d := newDialer()
	d.Meter = new(metrics.Meter)
	cc := observed(t, addr, d, nil)
	want := func(what string, busy, resting int64) {
		t.Helper()
		netlab.Eventually(t, time.Minute, what, func() bool {
			s := d.Meter.Snapshot()
			return s.Busy == busy && s.Resting == resting
		})
	}
	cc.Connect()
	want("it rests before its first call", 0, 1)
	end, other := watchHealth(t, cc), watchHealth(t, cc)
	want("it is busy", 1, 0)
	end()
	want("it is busy with the other", 1, 0)
	other()
	want("it rests", 0, 1)
	checkHealth(t, cc)
	want("it rests again", 0, 1)
}

// However calls begin and end at the same time, the connection is at rest when
// there are none.
func TestAccountSettles(t *testing.T) {
	var m metrics.Meter
	a := newObserver(nil).account(m.Host("a"), "a")
	a.settle()
	for range 2000 {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 1 + rand.N(50) {
					a.begin()
					a.end()
				}
			})
		}
		hold := rand.N(2)
		for range hold {
			a.begin()
		}
		wg.Wait()
		if s := m.Snapshot(); s.Busy != int64(hold) || s.Resting != int64(1-hold) {
			t.Fatalf("with %d calls:\n%v", hold, s)
		}
		for range hold {
			a.end()
		}
	}
}

// With a Dialer that has no Meter, and nobody to tell, there is nothing to do.
func TestObserveNobody(t *testing.T) {
	addr := serveHealth(t)
	cc := observed(t, addr, nil, nil)
	checkHealth(t, cc)
	cc.Close()
}

func TestObserveProxy(t *testing.T) {
	addr := serveHealth(t)
	p := newProxy(t, addr, connected)
	behind(t, "http://"+p.Addr().String())
	d := newDialer()
	d.Meter = new(metrics.Meter)
	var log eventLog
	cc := observed(t, "passthrough:///service.invalid:5000", d, log.add)
	checkHealth(t, cc)
	cc.Close()
	shutDown(t, d)
	events := log.all()
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	if e := events[0]; e.Address != "service.invalid:5000" || e.Remote.String() != p.Addr().String() || e.Calls != 1 {
		t.Errorf("%+v", e)
	}
	if s := d.Meter.Snapshot(); len(s.Hosts) != 1 || s.Hosts[0].Name != "service.invalid:5000" || s.Requests != 1 {
		t.Errorf("%v", s)
	}
}

// A connection on which there was no call is told of too, and one that could not
// be made is not.
func TestObserveNoCall(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	addr := l.Addr().String()
	l.Close()
	d := newDialer()
	d.Meter = new(metrics.Meter)
	var log eventLog
	cc := observed(t, addr, d, log.add)
	if _, err := healthpb.NewHealthClient(cc).Check(t.Context(), new(healthpb.HealthCheckRequest)); err == nil {
		t.Fatal("there is a server")
	}
	cc.Close()
	shutDown(t, d)
	if n := len(log.all()); n != 0 {
		t.Errorf("%d events without a connection", n)
	}

	cc = observed(t, serveHealth(t), d, log.add)
	cc.Connect()
	netlab.Eventually(t, time.Minute, "it is connected", func() bool { return d.Meter.Snapshot().Resting == 1 })
	cc.Close()
	shutDown(t, d)
	if events := log.all(); len(events) != 1 || events[0].Calls != 0 {
		t.Errorf("%+v", events)
	}
	if s := d.Meter.Snapshot(); s.Requests != 0 || s.Balance() != nil {
		t.Errorf("%v", s)
	}
}

// A server that ends the connection is how it ended.
func TestObserveServerStops(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	srv := serve(t, l)
	d := newDialer()
	var log eventLog
	cc := observed(t, l.Addr().String(), d, log.add)
	checkHealth(t, cc)
	srv.Stop()
	netlab.Eventually(t, time.Minute, "the connection has ended", func() bool { return len(log.all()) == 1 })
	e := log.all()[0]
	if e.Calls != 1 || e.Ending != linger.PeerFirst && e.Ending != linger.Lost && e.Ending != linger.Aborted {
		t.Errorf("%+v", e)
	}
}

// Calls go by the connection, not by its port.
func TestObserveSamePort(t *testing.T) {
	var log eventLog
	o := newObserver(log.add)
	var ends []*net.TCPAddr
	var accounts []*account
	for range 2 {
		a := o.account(nil, "a")
		c := addressed{local: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 4000}, remote: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 80}}
		a.made(c)
		ends, accounts = append(ends, c.local), append(accounts, a)
	}
	send := func(local net.Addr, n int) {
		for range n {
			ctx := o.TagRPC(t.Context(), &stats.RPCTagInfo{})
			o.HandleRPC(ctx, &stats.Begin{Client: true})
			o.HandleRPC(ctx, &stats.OutHeader{Client: true, LocalAddr: local})
			o.HandleRPC(ctx, &stats.End{Client: true})
		}
	}
	send(ends[0], 2)
	send(ends[1], 3)
	send(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 4000}, 5) // of another dialer
	send(nil, 5)
	send(&net.UnixAddr{Name: "x"}, 5)
	for _, a := range accounts {
		a.Closing()
		a.Ended(linger.PeerFirst, false)
	}
	if got := fmt.Sprint(log.events[0].Calls, log.events[1].Calls); got != "2 3" {
		t.Errorf("calls: %s, want 2 3", got)
	}
	for range o.accounts.Range {
		t.Error("an account is kept for good")
	}
}

type addressed struct {
	net.Conn
	local, remote *net.TCPAddr
}

func (a addressed) LocalAddr() net.Addr  { return a.local }
func (a addressed) RemoteAddr() net.Addr { return a.remote }

// What is sent again is a retry, and is carried as well.
func TestObserveRetry(t *testing.T) {
	var m metrics.Meter
	o := newObserver(nil)
	o.counts = true
	a := o.account(m.Host("a"), "a")
	local := new(net.TCPAddr)
	a.made(addressed{local: local})
	for _, again := range []bool{false, true} {
		ctx := o.TagRPC(t.Context(), &stats.RPCTagInfo{})
		o.HandleRPC(ctx, &stats.Begin{Client: true, IsTransparentRetryAttempt: again})
		o.HandleRPC(ctx, &stats.OutHeader{Client: true, LocalAddr: local})
		o.HandleRPC(ctx, &stats.End{Client: true})
	}
	if s := m.Snapshot(); s.Requests != 1 || s.Retries != 1 || s.Leases != 2 || s.Resting != 1 {
		t.Errorf("%v", s)
	}
}

// Several observers on one channel do not mistake each other's attempts.
func TestObserveTwice(t *testing.T) {
	var log, other eventLog
	d := newDialer()
	cc := observed(t, serveHealth(t), d, log.add, grpc.WithStatsHandler(newObserver(other.add)))
	checkHealth(t, cc)
	cc.Close()
	shutDown(t, d)
	if events := log.all(); len(events) != 1 || events[0].Calls != 1 {
		t.Errorf("%+v", events)
	}
	if events := other.all(); len(events) != 0 {
		t.Errorf("the other, whose connections these are not: %+v", events)
	}
}
